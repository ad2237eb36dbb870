"""The drill: a service under load, a backup in the middle of it, then everything killed and deleted, and a house built from the copy."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import func, select

import treadle
from tests.postgres_cluster import database
from treadle.serving.spool import segments
from treadle.settings import MARKER, Workspace
from treadle.state import log
from treadle.state.schema import labels, predictions, profile_parts
from treadle.state.store import open_store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

REPOSITORY = Path(__file__).parents[3]
CALLERS = 4
BEFORE, AFTER = 3.0, 1.5
"""Seconds of load before the backup begins and after it has ended."""

ROWS = [
    {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2},
    {"sepal_length": 6.2, "sepal_width": 2.9, "petal_length": 4.3, "petal_width": 1.3},
    {"sepal_length": 7.7, "sepal_width": 2.6, "petal_length": 6.9, "petal_width": 2.3},
    {"sepal_length": 5.9, "sepal_width": 3.0, "petal_length": 4.9, "petal_width": 1.7},
]


@dataclass
class Tally:
    """What callers were told, and when; times in epoch seconds, taken before the call was made and after it was answered."""

    answers: list[tuple[float, str, str, int]] = field(default_factory=list)
    labels: list[tuple[float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def said(answer: dict[str, Any]) -> str:
    """Return what is said of a row, as bytes would be compared: all but the name that each answer has for itself."""
    return json.dumps({key: value for key, value in answer.items() if key != "prediction_id"}, sort_keys=True)


def command(root: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TREADLE_WORKSPACE": str(root), "OMP_NUM_THREADS": "1", **variables}
    environment = {name: value for name, value in environment.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-m", "treadle.cli.main", *map(str, arguments)],
        env=environment,
        cwd=root.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@contextmanager
def serving(root: Path, port: int) -> Iterator[psutil.Process]:
    environment = {**os.environ, "TREADLE_WORKSPACE": str(root), "TREADLE_PORT": str(port), "OMP_NUM_THREADS": "1"}
    with (root / "serve.log").open("w") as kept:
        started = subprocess.Popen([sys.executable, "-m", "treadle.cli.main", "serve"], env=environment, stdout=kept, stderr=kept)
    process = psutil.Process(started.pid)
    try:
        deadline = time.monotonic() + 60
        while not ready(port):
            assert started.poll() is None, (root / "serve.log").read_text()
            assert time.monotonic() < deadline, (root / "serve.log").read_text()
            time.sleep(0.1)
        yield process
    finally:
        kill(process)
        started.wait()


def kill(process: psutil.Process) -> None:
    """End a service and all its children as a machine ends: at once."""
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for one in family:
        if one.is_running():
            one.kill()
    psutil.wait_procs(family, timeout=10)


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=2).is_success
    except httpx.TransportError:
        return False


def call(port: int, tally: Tally, stop: threading.Event, over: threading.Event) -> None:
    """Ask row after row, and label every third answer, until told to stop; what fails once all is ``over`` is no failure."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        number = 0
        while not stop.is_set():
            try:
                answered = client.post("/predict/iris", json=ROWS[number % len(ROWS)])
                answered.raise_for_status()
                told = answered.json()
                tally.answers.append((time.time(), told["prediction_id"], said(told), number % len(ROWS)))
                if number % 3 == 0:
                    client.post(
                        "/labels/iris", json={"labels": [{"prediction_id": told["prediction_id"], "value": "setosa"}]}
                    ).raise_for_status()
                    tally.labels.append((time.time(), told["prediction_id"]))
            except httpx.HTTPError as error:
                if not over.is_set():
                    tally.failures.append(repr(error))
                return
            number += 1


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a backup of a workspace in which iris has a champion: each drill builds its house from it."""
    root = tmp_path_factory.mktemp("trained") / "house"
    shutil.copytree(REPOSITORY / "projects" / "iris", root / "projects" / "iris", ignore=shutil.ignore_patterns("__pycache__"))
    (root / MARKER).write_text("offline = true\nworkers = 2\n")
    treadle.train("iris", workspace=root)
    verdict, deployed = treadle.promote("iris", workspace=root)
    assert deployed is not None, verdict.reasons
    made = treadle.backup(root.parent / "copy", workspace=root)
    shutil.rmtree(root)
    return made.folder


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_a_house_that_burns_down_is_built_again_from_its_copy(
    trained: Path, dialect: str, tmp_path: Path, free_port: int, request: pytest.FixtureRequest
) -> None:
    house, copy, other = tmp_path / "house", tmp_path / "copy", tmp_path / "other"
    treadle.restore(trained, into=house)
    tally, stop, over = Tally(), threading.Event(), threading.Event()
    with serving(house, free_port) as service, ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(call, free_port, tally, stop, over) for _ in range(CALLERS)]
        time.sleep(BEFORE)
        told = json.loads(command(house, "backup", copy, "--json").stdout)
        time.sleep(AFTER)
        over.set()
        kill(service)
        stop.set()
        for one in calls:
            one.result()
    shutil.rmtree(house)
    assert tally.failures == []

    with ExitStack() as stack:
        url = ""
        if dialect == "postgres":
            url = stack.enter_context(database(request.getfixturevalue("postgres_url"), f"test_{uuid.uuid4().hex}"))
        other.mkdir()
        (other / MARKER).write_text(f'offline = true\nworkers = 2\nstore_url = "{url}"\n')
        done = command(other, "restore", copy, "--into", other)
        assert "What came after is not in it." in done.stdout
        assert "follow from each other" in done.stdout
        place = Workspace.find(other)
        with serving(other, free_port):
            wait_until_shipped(place)
            for number, row in enumerate(ROWS):
                again = said(httpx.post(f"http://127.0.0.1:{free_port}/predict/iris", json=row).json())
                assert {one for _, _, one, asked in tally.answers if asked == number} == {again}
            wait_until_shipped(place)
        command(other, "events", "--verify")
        check_the_log(place, tally, told)
        champion_answers(place)


def wait_until_shipped(place: Workspace) -> None:
    deadline = time.monotonic() + 60
    while any(path.stat().st_size for path in segments(place.spool_dir)) and not shipped(place):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def shipped(place: Workspace) -> bool:

    store = open_store(place.store_url)
    with store.read() as conn:
        behind = [path for path in segments(place.spool_dir) if path.exists() and path.stat().st_size > log.offset(conn, path.stem)]
    store.close()
    return not behind


def check_the_log(place: Workspace, tally: Tally, told: dict[str, Any]) -> None:
    """Require that what was answered before the backup began is there once, as it was said, and that what is missing came after."""
    store = open_store(place.store_url)
    with store.read() as conn:
        kept = {row.prediction_id: row.answer for row in conn.execute(select(predictions.c.prediction_id, predictions.c.answer))}
        joined = set(conn.execute(select(labels.c.joined_id)).scalars()) | set(conn.execute(select(labels.c.prediction_id)).scalars())
        counted = conn.execute(select(func.sum(profile_parts.c.rows))).scalar_one()
    store.close()
    before = [one for one in tally.answers if one[0] < told["as_of"]]
    lost = [one for one in tally.answers if one[1] not in kept]
    assert len(before) > 100
    assert [one for one in before if one[1] not in kept] == []
    assert [one for one in tally.labels if one[0] < told["as_of"] and one[1] not in joined] == []
    assert all(said({"prediction_id": "", **json.loads(kept[name])}) == answer for _, name, answer, _ in before)
    assert lost, "the load went on after the backup"
    assert min(one[0] for one in lost) >= told["as_of"]
    assert counted == len(kept)
    in_it = told["rows"]["predictions"] + told["spool"]["predictions"]
    assert len(kept) == in_it + len(ROWS)


def champion_answers(place: Workspace) -> None:
    """Require that MLflow finds the champion's files where they are now."""
    code = (
        "import sys, mlflow, pandas; mlflow.set_tracking_uri(sys.argv[1]); "
        "model = mlflow.pyfunc.load_model('models:/iris@champion'); "
        "print(model.predict(pandas.read_json(sys.argv[2], lines=True))['prediction'][0])"
    )
    (place.root / "row.json").write_text(json.dumps(ROWS[0]))
    done = subprocess.run(
        [sys.executable, "-c", code, place.tracking_url, str(place.root / "row.json")], capture_output=True, text=True, check=False
    )
    assert done.stdout.split()[-1:] == ["setosa"], done.stderr
