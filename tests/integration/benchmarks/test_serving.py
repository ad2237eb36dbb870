"""The comparison with the others runs: ours and the two echoes, for a moment each."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from benchmarks.serving import environments, load, measure, processes
from benchmarks.serving.contenders import Place
from benchmarks.serving.environments import EnvironmentFailedError
from benchmarks.serving.load import LoadFailedError
from benchmarks.serving.measure import Cores
from tests.conftest import REPOSITORY
from tests.crew import until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(580),
    pytest.mark.skipif(shutil.which("wrk") is None, reason="no wrk here (Debian, Ubuntu: apt-get install wrk)"),
    pytest.mark.skipif(sys.platform != "linux", reason="processes can be pinned on Linux only"),
]


@pytest.fixture(scope="module")
def python() -> Path:
    """Return the Python of the echoes' environment."""
    try:
        return environments.make("fastapi")
    except EnvironmentFailedError as error:
        pytest.skip(str(error))


def test_ours_and_the_echoes_are_measured_side_by_side(tmp_path: Path, python: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving", "--quick", "--rounds", "1", "--seconds", "1", "--out", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=560,
    )
    assert done.returncode == 0, done
    rows = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert list(rows) == ["raw-asgi", "fastapi-echo", "treadle"]
    for name, row in rows.items():
        (figures,) = row["rounds"].values()
        wanted = {"start", "many_rate", "many_p50", "many_p99", "single_rate", "single_p50", "single_p99", "memory"}
        wanted |= {"rows"} if name != "raw-asgi" else set()
        assert wanted <= figures.keys()
        assert all(value > 0 for figure, value in figures.items() if figure in wanted)
        assert figures["many_p50"] <= figures["many_p99"]
    told = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert told.strip() in done.stdout
    assert re.search(r"^\| Treadle \| [\d,]+ \| \d", told, re.MULTILINE)
    assert "s of traffic waited in the spool" in told
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


def echo(python: Path, port: int) -> list[str]:
    app = "benchmarks.serving.apps.fastapi_echo:app"
    return [str(python.with_name("uvicorn")), app, "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]


def asked(tmp_path: Path, url: str, body: bytes) -> list[Path]:
    path = tmp_path / "request"
    path.write_bytes(load.request(url, body))
    return [path]


def test_a_contender_is_pinned_and_ended_and_a_refused_load_does_not_count(tmp_path: Path, python: Path) -> None:
    cores, port = Cores.choose(), processes.free_port()
    place = Place(python, tmp_path, port, ())
    url = f"http://127.0.0.1:{port}/predict"
    with processes.Running(echo(python, port), measure.environment(place), tmp_path, {cores.server}) as running:
        until(lambda: answers(url), seconds=60)
        (process,) = [one for one in running.tree() if one.cmdline()[1:2] == [str(python.with_name("uvicorn"))]]
        assert process.cpu_affinity() == [cores.server]
        assert running.strays() == []
        assert 10 < process.memory_info().rss / processes.MEBIBYTE <= running.memory()
        assert running.alive
        with pytest.raises(LoadFailedError, match=r"\(status\)"):
            load.run(url, asked(tmp_path, url, b'{"sepal_length": "wide"}'), clients=2, seconds=1, cores={cores.load})
    assert not running.alive
    assert not psutil.pid_exists(process.pid)
    with pytest.raises(LoadFailedError):
        load.run(url, asked(tmp_path, url, b"{}"), clients=1, seconds=1, cores={cores.load})


def answers(url: str) -> bool:
    body = json.dumps(dict.fromkeys(("sepal_length", "sepal_width", "petal_length", "petal_width"), 1.0)).encode()
    try:
        status, printed = measure.post(url, body, [])
    except OSError:
        return False
    assert (status, json.loads(printed)) == (200, json.loads(body))
    return True


def test_what_ends_at_once_is_told_with_what_it_printed(tmp_path: Path) -> None:
    with processes.Running([sys.executable, "-c", "raise SystemExit('no such model')"], {}, tmp_path, {Cores.choose().server}) as running:
        until(lambda: not running.alive, seconds=30)
    assert not running.alive
    assert running.told() == "no such model"


def test_a_probe_sees_what_waits_in_the_spool(tmp_path: Path) -> None:
    from benchmarks import house
    from benchmarks.serving.backlog import Probe
    from treadle.serving.records import EventRecord
    from treadle.serving.spool import SpoolWriter
    from treadle.state import log
    from treadle.state.store import open_store

    workspace = house.make(tmp_path, {})
    probe = Probe(workspace, clock=iter(np.arange(100.0)).__next__)
    writer = SpoolWriter(workspace.spool_dir, segment_bytes=10**6)
    assert (probe.look().waiting, probe.look().written) == (0, 0)
    writer.append([EventRecord("tried", None, {}, 1.0)])
    (segment,) = workspace.spool_dir.glob("*.seg*")
    size = segment.stat().st_size
    seen = probe.look()
    assert (seen.waiting, seen.written) == (size, size)
    store = open_store(workspace.store_url)
    with store.write() as conn:
        log.advance_segment(conn, segment.stem, size - 10, start=0, sealed=False, at=1.0)
    assert probe.look().waiting == 10
    with store.write() as conn:
        log.advance_segment(conn, segment.stem, size, start=size - 10, sealed=False, at=1.0)
    assert probe.drained() == pytest.approx(2.0)
    writer.close()
    store.close()
    probe.close()
