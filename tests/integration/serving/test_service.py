"""The real service: supervisor, workers on one socket, shipper, store; asked over HTTP while things happen to it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from tests import small_bundles
from tests.crew import until
from treadle.errors import PortTaken
from treadle.serving.spool import segments
from treadle.serving.supervisor import serve
from treadle.settings import MARKER, Workspace
from treadle.state import deployments
from treadle.state.deployments import Role, Slot
from treadle.state.schema import events, predictions
from treadle.state.store import open_store

pytestmark = pytest.mark.integration


class Running:
    """A service with two workers, in a thread of this process."""

    def __init__(self, root: Path) -> None:
        (root / MARKER).write_text("port = 0\nworkers = 2\npoll_seconds = 0.1\n")
        self.workspace = Workspace.find(root)
        self.store = open_store(self.workspace.store_url)
        self.told: list[str] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=serve, args=(self.workspace,), kwargs={"tell": self.told.append, "stop": self.stop})

    def start(self) -> None:
        self.thread.start()
        until(lambda: self.told)
        self.url = self.told[0].split()[-1]

    def slot(self, graph: bytes, version: int, role: Role = "champion", weight: float = 1.0) -> Slot:
        return Slot(role, version, small_bundles.put(self.workspace.bundle_dir, graph).digest, weight)

    def deploy(self, *slots: Slot) -> int:
        with self.store.write() as conn:
            expected = deployments.generations(conn).get("churn", 0)
            deployments.insert(conn, "churn", expected=expected, slots=slots, reason="a test", at=time.time())
        return expected + 1

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=60)

    def post(self, path: str, payload: object) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=payload, timeout=60)

    def pids(self) -> dict[str, int]:
        """Return the present process of every child, from what the supervisor told."""
        started = [line.split() for line in self.told if " started " in line]
        return {words[0]: int(words[-1].rstrip(")")) for words in started}

    def generations(self) -> set[tuple[int, int]]:
        """Return (worker, generation) of whoever answers a few new connections."""
        seen = set()
        for _ in range(4):
            with httpx.Client(base_url=self.url, timeout=60) as client:
                worker = client.get("/health").json()["worker"]
                seen.add((worker, client.get("/ready").json()["generations"].get("churn", 0)))
        return seen

    def followed_by_all(self, generation: int) -> None:
        """Wait until both workers have told that they follow a generation; from then on none answers with an older one."""

        def followers() -> int:
            with self.store.read() as conn:
                rows = conn.execute(select(events.c.data).where(events.c.kind == "deployment.followed")).scalars()
                return sum(f'"generation":{generation},' in data for data in rows)

        until(lambda: followers() >= 2)

    def metric(self, name: str, **labels: str) -> float:
        text = self.get("/metrics").text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())

    def stored(self, status: str = "ok") -> list[tuple[str, int, str]]:
        """Return (id, version, answer) of every prediction in the store, once the spool has been emptied."""
        with self.store.read() as conn:
            where = select(predictions.c.prediction_id, predictions.c.version, predictions.c.answer).where(predictions.c.status == status)
            return [(row[0], row[1], row[2]) for row in conn.execute(where)]

    def close(self) -> None:
        self.stop.set()
        self.thread.join(60)
        self.store.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.close()


class Load:
    """Four callers, each with a connection of its own, who ask until they are told to stop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(4)]
        self.answers: list[tuple[str, int, str]] = []
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as client:
            for count in range(3000):
                if self._stop.is_set():
                    return
                row = {"tenure": count % 100, "spend": 1, "customer": f"c-{number}-{count}"}
                try:
                    answer = client.post("/predict/churn", json=row)
                except httpx.TransportError as error:
                    self.failed.append(str(error))
                else:
                    self._note(answer)
                time.sleep(0.002)

    def _note(self, answer: httpx.Response) -> None:
        if answer.status_code == 200:
            body = answer.json()
            self.answers.append((body["prediction_id"], body["version"], answer.text))
        else:
            self.failed.append(answer.text)


def test_a_deployment_is_swapped_under_load_without_a_failed_request_and_the_log_is_what_callers_got(running: Running) -> None:
    first, second = running.slot(small_bundles.answering(), 1), running.slot(small_bundles.answering(1), 2)
    running.deploy(first)
    running.start()

    with Load(running.url) as load:
        until(lambda: len(load.answers) > 100)
        generation = running.deploy(second, Slot("fallback", 1, first.digest, 0.0))
        swapped = time.time()
        running.followed_by_all(generation)
        enough = len(load.answers) + 100
        until(lambda: len(load.answers) > enough)

    assert load.failed == []
    with running.store.read() as conn:
        seen = conn.execute(select(events.c.at).where(events.c.kind == "deployment.followed")).scalars().all()
    assert max(seen) - swapped < 1.0
    assert {version for _, version, _ in load.answers} == {1, 2}
    until(lambda: len(running.stored()) >= len(load.answers))
    assert Counter(running.stored()) == Counter(load.answers)
    assert running.metric("ml_predictions_total") == len(load.answers)
    assert running.metric("ml_model_loaded", model_version="2") == 2


def test_a_killed_worker_is_started_again_and_serving_goes_on(running: Running) -> None:
    running.deploy(running.slot(small_bundles.answering(), 1))
    running.start()

    with Load(running.url) as load:
        until(lambda: len(load.answers) > 100)
        before = running.pids()
        until(lambda: {worker for worker, _ in running.generations()} == {before["worker-1"], before["worker-2"]})
        os.kill(before["worker-1"], signal.SIGKILL)
        until(lambda: "worker-1 died (signal 9)" in running.told)
        enough = len(load.answers) + 100
        until(lambda: len(load.answers) > enough)
        until(lambda: running.pids()["worker-1"] != before["worker-1"])
        until(lambda: running.pids()["worker-1"] in {worker for worker, _ in running.generations()})

    # Each caller has one connection: the death of a worker can cut at most those.
    assert len(load.failed) <= 4
    # What was answered is in the log, also what the dead worker answered; it may hold an answer that was cut off on its way.
    until(lambda: set(load.answers) <= set(running.stored()))
    assert len(running.stored()) <= len(load.answers) + len(load.failed)
    assert running.metric("ml_predictions_total") == len(running.stored())
    assert running.metric("ml_model_loaded", model_version="1") == 2


def test_a_flipped_byte_is_refused_by_every_worker_and_the_old_version_answers(running: Running) -> None:
    running.deploy(running.slot(small_bundles.answering(), 1))
    running.start()
    until(lambda: running.get("/ready").status_code == 200)
    bad = running.slot(small_bundles.answering(1), 2)
    small_bundles.flip(running.workspace.bundle_dir, bad.digest)
    running.deploy(bad)

    def refused() -> int:
        with running.store.read() as conn:
            return len(conn.execute(select(events.c.seq).where(events.c.kind == "bundle.refused", events.c.actor == "worker")).all())

    until(lambda: refused() == 2)

    assert running.post("/predict/churn", small_bundles.ROW).json()["version"] == 1
    ready = running.get("/ready")
    assert (ready.status_code, ready.json()["refused"]["churn"]["generation"]) == (200, 2)
    assert "model.onnx" in running.get("/models").json()["models"][0]["refused"]["reason"]


def test_a_failing_canary_costs_no_caller_an_answer(running: Running) -> None:
    champion, canary = running.slot(small_bundles.answering(), 1, weight=0.5), running.slot(small_bundles.failing(), 2, "canary", 0.5)
    running.deploy(champion, canary)
    running.start()

    rows = [{"tenure": 50, "spend": 1, "customer": f"c-{count}"} for count in range(60)]
    answers = [running.post("/predict/churn", row).json() for row in rows]

    assert {answer["version"] for answer in answers} == {1}
    fallbacks = sum(answer["fallback"] for answer in answers)
    assert 0 < fallbacks < len(answers)
    until(lambda: len(running.stored()) == len(answers))
    assert [version for _, version, _ in running.stored("failed")] == [2] * fallbacks
    assert running.metric("ml_prediction_errors_total", model_version="2") == fallbacks


def test_a_service_without_a_deployment_starts_and_takes_the_first_one_up(running: Running) -> None:
    running.start()
    until(lambda: "worker-2" in running.pids())
    assert running.get("/ready").json()["missing"] == ["No model is deployed yet: train and promote one."]
    assert running.post("/predict/churn", {}).status_code == 404

    generation = running.deploy(running.slot(small_bundles.answering(), 1))
    running.followed_by_all(generation)

    assert running.post("/predict/churn", small_bundles.ROW).json()["version"] == 1


def test_when_it_is_stopped_it_finishes_what_has_begun(running: Running) -> None:
    running.deploy(running.slot(small_bundles.slow(), 1))
    running.start()
    until(lambda: running.get("/ready").status_code == 200)
    began = threading.Event()

    def ask() -> Any:
        with httpx.Client(base_url=running.url, timeout=60) as client:
            client.get("/health")
            began.set()
            return client.post("/predict/churn/batch", json={"rows": [{"tenure": 1, "spend": 1}] * 200})

    with ThreadPoolExecutor(2) as callers:
        asked = [callers.submit(ask) for _ in range(2)]
        began.wait(30)
        busy = [psutil.Process(running.pids()[name]) for name in ("worker-1", "worker-2")]
        until(lambda: any(segments(running.workspace.spool_dir)))
        time.sleep(0.3)
        for process in busy:
            process.terminate()
        answers = [future.result() for future in asked]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert all(len(answer.json()["predictions"]) == 200 for answer in answers)


def test_a_taken_port_is_told_before_anything_starts(running: Running, free_port: int) -> None:
    running.start()
    port = int(running.url.rsplit(":", maxsplit=1)[1])
    (running.workspace.root / MARKER).write_text(f"port = {port}\n")
    told: list[str] = []

    with pytest.raises(PortTaken, match=f"port {port}"):
        serve(Workspace.find(running.workspace.root), tell=told.append)

    assert told == []


def test_a_stopped_service_leaves_no_process_behind(running: Running) -> None:
    running.start()
    until(lambda: set(running.pids()) == {"worker-1", "worker-2", "shipper"})
    processes = [psutil.Process(pid) for pid in running.pids().values()]

    running.stop.set()
    running.thread.join(60)

    assert not any(process.is_running() for process in processes)
    assert [line.split()[1] for line in running.told[-3:]] == ["stopped"] * 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_service_of_its_own_process_and_all_it_started(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / MARKER).write_text("port = 0\nworkers = 1\n")
    environment = {**os.environ, "TREADLE_WORKSPACE": str(tmp_path)}
    code = "from treadle.serving.supervisor import serve; from treadle.settings import Workspace; serve(Workspace.find(), tell=print)"
    process = subprocess.Popen([sys.executable, "-u", "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().split()[-1]
    assert httpx.get(f"{address}/health", timeout=60).status_code == 200
    children = psutil.Process(process.pid).children(recursive=True)

    process.send_signal(number)
    rest = process.stdout.read()
    process.stdout.close()

    assert process.wait(60) == 0
    assert len(children) == 2
    assert not any(child.is_running() for child in children)
    assert sum(" stopped " in line for line in rest.splitlines()) == 2
