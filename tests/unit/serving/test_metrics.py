import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from treadle.serving.metrics import VERSIONS, ServingMetrics, observe_many, scrape
from treadle.serving.numbers import FOLDER_VARIABLE, forget

WORKER = """
import sys
from prometheus_client import CollectorRegistry
from treadle.serving.metrics import ServingMetrics
metrics = ServingMetrics(CollectorRegistry())
version = metrics.version("churn", 1)
version.predictions.inc(int(sys.argv[1]))
version.loaded.set(1)
for value in range(int(sys.argv[1])):
    metrics.confidence("churn").observe(0.75)
print(__import__("os").getpid())
"""


def values(text: bytes, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of one name, by the values of their labels."""
    families = text_string_to_metric_families(text.decode())
    return {tuple(sample.labels.values()): sample.value for family in families for sample in family.samples if sample.name == name}


def test_the_names_are_those_that_alerts_ask_for() -> None:
    registry = CollectorRegistry()
    metrics = ServingMetrics(registry)
    version = metrics.version("churn", 2)
    version.predictions.inc(3)
    version.errors.inc()
    version.loaded.set(1)
    metrics.duration("churn").observe(0.002)
    metrics.confidence("churn").observe(0.9)
    metrics.log_unavailable.inc()

    text = scrape(registry)

    assert values(text, "ml_predictions_total") == {("churn", "2"): 3}
    assert values(text, "ml_prediction_errors_total") == {("churn", "2"): 1}
    assert values(text, "ml_model_loaded") == {("churn", "2"): 1}
    assert values(text, "ml_prediction_duration_seconds_count") == {("churn",): 1}
    assert values(text, "ml_prediction_confidence_sum") == {("churn",): 0.9}
    assert values(text, "ml_log_unavailable_total") == {(): 1}


def test_a_look_up_by_labels_happens_once() -> None:
    metrics = ServingMetrics(CollectorRegistry())

    assert metrics.version("churn", 2) is metrics.version("churn", 2)
    assert metrics.confidence("churn") is metrics.confidence("churn")


def test_the_buckets_tell_apart_what_takes_microseconds_and_what_takes_seconds() -> None:
    registry = CollectorRegistry()
    duration = ServingMetrics(registry).duration("churn")
    for seconds in (20e-6, 80e-6, 300e-6, 4e-3, 0.3, 4.0, 60.0):
        duration.observe(seconds)

    buckets = {float(labels[0]): count for labels, count in values(scrape(registry), "ml_prediction_duration_seconds_bucket").items()}

    counts = [buckets[bound] for bound in sorted(buckets)]
    assert sorted({count for count in counts if count}) == [1, 2, 3, 4, 5, 6, 7], "each of them in a bucket of its own"
    assert (min(buckets), max(bound for bound in buckets if bound < 1e9)) == (1e-5, 5.0)


def test_versions_are_bounded_and_nothing_is_lost() -> None:
    registry = CollectorRegistry()
    metrics = ServingMetrics(registry)
    for version in range(1, VERSIONS + 6):
        metrics.version("churn", version).predictions.inc(version)
    metrics.version("iris", 1).predictions.inc(7)

    found = values(scrape(registry), "ml_predictions_total")

    assert len(found) == VERSIONS + 2
    assert found["churn", "older"] == 1 + 2 + 3 + 4 + 5
    assert found["churn", "6"] == 6
    assert found["iris", "1"] == 7
    assert sum(found.values()) == sum(range(1, VERSIONS + 6)) + 7


def count_in(folder: Path, times: int) -> int:
    """Let a process of its own count so many rows, and return its id."""
    environment = {**os.environ, FOLDER_VARIABLE: str(folder)}
    done = subprocess.run([sys.executable, "-c", WORKER, str(times)], env=environment, check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_the_numbers_of_all_processes_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for times in (3, 4):
        count_in(tmp_path, times)
    # A worker that is only just creating its file, and the live gauges of one that has just died.
    (tmp_path / "counter_99999.db").touch()
    (tmp_path / "gauge_livesum_99999.db").symlink_to(tmp_path / "gone")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))

    text = scrape(CollectorRegistry())

    assert values(text, "ml_predictions_total") == {("churn", "1"): 7}
    assert values(text, "ml_model_loaded") == {("churn", "1"): 2}
    buckets = values(text, "ml_prediction_confidence_bucket")
    assert (buckets["0.7", "churn"], buckets["0.8", "churn"], buckets["+Inf", "churn"]) == (0, 7, 7)
    assert values(text, "ml_prediction_confidence_count") == {("churn",): 7}


def test_processes_that_have_ended_share_their_files_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    ended = [count_in(tmp_path, times) for times in (3, 4)]
    for path in tmp_path.glob("gauge_*.db"):
        path.unlink()
    before = scrape(CollectorRegistry())

    for process in (*ended, ended[0], 99999):
        forget(process, folder=tmp_path)

    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["counter_ended.db", "histogram_ended.db"]
    assert sorted(scrape(CollectorRegistry()).splitlines()) == sorted(before.splitlines())
    count_in(tmp_path, 5)
    assert values(scrape(CollectorRegistry()), "ml_predictions_total") == {("churn", "1"): 12}


def test_without_room_the_files_of_a_process_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    process = count_in(tmp_path, 3)
    (tmp_path / "counter_ended.new").mkdir()

    forget(process, folder=tmp_path)

    assert values(scrape(CollectorRegistry()), "ml_predictions_total") == {("churn", "1"): 3}


@given(st.lists(st.floats(0, 1, width=32), max_size=30))
def test_many_observations_at_once_count_as_each_by_itself(values: list[float]) -> None:
    alone, together = (CollectorRegistry() for _ in range(2))
    one = ServingMetrics(alone).confidence("churn")
    for value in values:
        one.observe(value)

    observe_many(ServingMetrics(together).confidence("churn"), np.array(values, dtype=np.float32))

    def told(registry: CollectorRegistry) -> dict[tuple[str, str | None], float]:
        (family,) = [family for family in registry.collect() if family.name == "ml_prediction_confidence"]
        return {(each.name, each.labels.get("le")): each.value for each in family.samples if not each.name.endswith("_created")}

    assert told(together) == pytest.approx(told(alone))
