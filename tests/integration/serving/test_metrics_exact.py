"""What Prometheus reads of two workers, while they are killed: as many rows as were answered, and no series too many."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import small_bundles
from tests.crew import until
from tests.integration.serving.test_service import Load, Running
from tests.small_bundles import ROW

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

CALLERS = 4
"""Each of them has one request in flight."""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.close()


def kill(running: Running, worker: str) -> None:
    """Kill a worker, and wait until the one after it answers."""
    before = running.pids()[worker]
    os.kill(before, signal.SIGKILL)
    until(lambda: running.pids()[worker] != before, "it is started again")
    until(lambda: running.pids()[worker] in {process for process, _ in running.generations()}, "the new one answers")


def more(load: Load) -> None:
    """Wait for some more answers."""
    enough = len(load.answers) + 50
    until(lambda: len(load.answers) > enough)


def series(url: str) -> set[tuple[str, ...]]:
    """Return every series that Prometheus would keep."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics", timeout=60).text)
    return {(sample.name, *sorted(sample.labels.values())) for family in families for sample in family.samples}


def test_the_sum_over_workers_is_what_was_answered_though_both_are_killed(running: Running) -> None:
    running.deploy(running.slot(small_bundles.answering(), 1))
    running.start()
    kills = 0

    with Load(running.url) as load:
        for worker in ("worker-1", "worker-2", "worker-1"):
            more(load)
            kill(running, worker)
            kills += 1
        more(load)

    answered, cut = len(load.answers), len(load.failed)
    assert cut <= kills * CALLERS
    for name in ("ml_predictions_total", "ml_prediction_duration_seconds_count", "ml_prediction_confidence_count"):
        # What was cut off may have been counted already: it is in the log, and nobody got the answer.
        assert answered <= running.metric(name) <= answered + cut, name
    assert running.metric("ml_model_loaded") == 2

    # Nobody dies any more: from here on it is exact.
    counted = running.metric("ml_predictions_total")
    for number in range(30):
        assert running.post("/predict/churn", {**ROW, "customer": f"c-{number}"}).status_code == 200
    assert running.metric("ml_predictions_total") == counted + 30


def test_what_callers_make_up_makes_no_series(running: Running) -> None:
    running.deploy(running.slot(small_bundles.answering(), 1))
    running.start()
    until(lambda: running.metric("ml_model_loaded") == 2)
    for _ in range(20):
        assert running.post("/predict/churn", ROW).status_code == 200
    before = series(running.url)

    with httpx.Client(base_url=running.url, timeout=60) as client:
        for number in range(30):
            made_up = f"{number}-nobody"
            asked = [
                client.post(f"/predict/{made_up}", json=ROW),
                client.post(f"/predict/{made_up}/batch", json={"rows": [ROW]}),
                client.post(f"/labels/{made_up}", json={"labels": []}),
                client.get(f"/models/{made_up}"),
                client.get(f"/{made_up}"),
                client.post("/predict/churn", json={made_up: 1}),
                client.post("/predict/churn", json=ROW, headers={"X-Treadle-Version": str(number + 100)}),
                client.put("/predict/churn", json=ROW),
            ]
            assert {answer.status_code for answer in asked} <= {404, 405, 422}
        assert client.post("/predict/churn", json=ROW, headers={"X-Request-ID": "made-up", "X-Treadle-Version": "1"}).status_code == 200

    assert series(running.url) == before
