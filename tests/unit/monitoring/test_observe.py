from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from tests.unit.monitoring.served import PROJECT, Traffic
from treadle.bundle.place import BundlePlace
from treadle.errors import BundleCorrupt, NotDeployed
from treadle.monitoring.alarms import alarms, cleared
from treadle.monitoring.metrics import ControllerMetrics
from treadle.monitoring.observe import Observation, losses, observe
from treadle.projects import Project
from treadle.spec import Contract, Interface, NumberFeature, Policy, Target, canonical_json
from treadle.state.turns import Turn

NOW = 1000.0


def look(traffic: Traffic, bundles: BundlePlace, *, now: float = NOW, project: Project = PROJECT) -> Observation:
    return observe(traffic.store, bundles, project, now=now)


def times(begin: float, end: float, n: int) -> list[float]:
    return np.linspace(begin, end, n, endpoint=False).tolist()


def test_calm_traffic_is_assessed_and_clears_every_signal(traffic: Traffic, bundles: BundlePlace) -> None:
    traffic.deploy(1)
    traffic.serve(times(300, 1000, 900))
    seen = look(traffic, bundles)
    assert (seen.version, seen.since, seen.until) == (1, 400, 1000)
    assert (seen.labelled_since, seen.labelled_until) == (300, 900)
    assert seen.drift.assessed
    assert seen.quality.assessed
    assert seen.quality.value == pytest.approx(0.89, abs=0.04)
    assert alarms(seen) == ()
    assert cleared(seen) == {"drift", "prediction", "quality"}


def test_without_traffic_nothing_is_assessed_and_nothing_cleared(traffic: Traffic, bundles: BundlePlace) -> None:
    traffic.deploy(1)
    seen = look(traffic, bundles)
    assert (seen.drift.rows, seen.quality.rows) == (0, 0)
    assert not seen.drift.assessed
    assert not seen.quality.assessed
    assert (alarms(seen), cleared(seen)) == ((), frozenset())


def test_drift_counts_only_the_window_and_the_champion(traffic: Traffic, bundles: BundlePlace) -> None:
    traffic.deploy(2)
    traffic.serve(times(0, 390, 500), version=2, moved=3)
    traffic.serve(times(400, 1000, 500), version=1, moved=3)
    traffic.serve(times(400, 1000, 600), version=2)
    seen = look(traffic, bundles)
    assert seen.drift.rows == 600
    assert not seen.drift.drifted


def test_drifted_inputs_alarm_with_their_onset_and_evidence(traffic: Traffic, bundles: BundlePlace) -> None:
    traffic.deploy(1)
    traffic.serve(times(400, 700, 400), labelled=False)
    traffic.serve(times(700, 1000, 400), moved=2, labelled=False)
    seen = look(traffic, bundles)
    (alarm,) = alarms(seen)
    assert alarm.signal == "drift"
    assert alarm.onset == pytest.approx(700, abs=19)
    assert alarm.evidence["drift_score"] == 0.8
    assert list(alarm.evidence["affected_features"]) == ["tenure"]
    assert cleared(seen) == {"prediction"}
    canonical_json(alarm.evidence)


def test_quality_that_fell_alarms_though_the_inputs_are_calm(traffic: Traffic, bundles: BundlePlace) -> None:
    traffic.deploy(1)
    traffic.serve(times(300, 550, 400))
    traffic.serve(times(550, 1000, 700), broken=True)
    seen = look(traffic, bundles)
    (alarm,) = alarms(seen)
    assert alarm.signal == "quality"
    assert alarm.onset == pytest.approx(550, abs=15)
    assert alarm.evidence["metric"] == "roc_auc"
    assert alarm.evidence["limit"] == pytest.approx(0.8)
    assert cleared(seen) == {"drift", "prediction"}
    canonical_json(alarm.evidence)


def test_quality_that_was_bad_all_along_dates_from_the_start_of_its_window(traffic: Traffic, bundles: BundlePlace) -> None:
    traffic.deploy(1)
    traffic.serve(times(301, 1000, 500), broken=True)
    assert look(traffic, bundles).quality_onset == 300


def test_a_row_is_judged_by_the_time_of_its_prediction_once_it_is_mature(traffic: Traffic, bundles: BundlePlace) -> None:
    traffic.deploy(1)
    traffic.serve(times(0, 300, 300), broken=True)
    traffic.serve(times(301, 900, 300))
    traffic.serve(times(901, 1000, 300), broken=True)
    assert look(traffic, bundles).quality.rows == 300
    assert not look(traffic, bundles).quality.bad


def test_only_rows_of_the_champion_are_judged(traffic: Traffic, bundles: BundlePlace) -> None:
    traffic.deploy(2)
    traffic.serve(times(300, 900, 300), version=1, broken=True)
    traffic.serve(times(300, 900, 250), version=2)
    seen = look(traffic, bundles)
    assert seen.version == 2
    assert seen.quality.rows == 249
    assert not seen.quality.bad


def test_a_missing_label_counts_as_the_policy_says(traffic: Traffic, bundles: BundlePlace) -> None:
    traffic.deploy(1)
    traffic.serve(times(301, 900, 300), labelled=False)
    assert look(traffic, bundles).quality.rows == 0
    negative = _with_policy({"labels": {"maturity": 100, "missing": "negative"}, "quality": {"window": 600, "metric": "accuracy"}})
    seen = look(traffic, bundles, project=negative)
    assert seen.quality.rows == 300
    assert "accuracy was not measured when the version was sealed" in seen.quality.reasons[0]


def _with_policy(policy: dict[str, object]) -> Project:
    contract = PROJECT.contract.model_dump() | {"policy": Policy.model_validate(policy)}
    return Project(Path("toy"), Contract.model_validate(contract))


def test_a_model_without_a_deployment_or_with_a_broken_bundle_is_refused(traffic: Traffic, bundles: BundlePlace) -> None:
    with pytest.raises(NotDeployed):
        look(traffic, bundles)
    traffic.deploy(1)
    (bundles.folder / traffic.bundle.digest / "card.json").write_bytes(b"{ }")
    with pytest.raises(BundleCorrupt):
        look(traffic, bundles)


def test_the_loss_of_a_class_is_its_surprise_and_of_a_number_its_error() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [1.0, 0.0]], dtype=np.float32)
    assert losses(PROJECT.contract.interface, np.array([0, 0, 1]), scores) == pytest.approx([-np.log(0.9), -np.log(0.2), -np.log(1e-7)])
    interface = Interface(task="regression", target=Target(name="y"), features=(NumberFeature(name="x", type="number"),))
    assert losses(interface, np.array([1.0, 5.0]), np.array([[2.0], [3.0]])) == pytest.approx([1, 2])


def values(registry: CollectorRegistry) -> dict[str, float]:
    found = {}
    for metric in registry.collect():
        for sample in metric.samples:
            if not sample.name.endswith("_created"):
                found[f"{sample.name}{{{','.join(sample.labels.values())}}}"] = sample.value
    return found


def test_the_gauges_show_what_was_observed_of_the_champion_alone(traffic: Traffic, bundles: BundlePlace) -> None:
    registry = CollectorRegistry()
    metrics = ControllerMetrics(registry)
    traffic.deploy(1)
    traffic.serve(times(300, 1000, 900), moved=2)
    seen = look(traffic, bundles)
    metrics.observed("toy", seen)
    shown = values(registry)
    assert shown["ml_data_drift_score{toy,1}"] == 0.8
    assert shown["ml_feature_drift{toy,1,tenure}"] > 1
    assert shown["ml_prediction_drift{toy,1}"] == 0
    assert shown["ml_model_quality{toy,1,roc_auc}"] == seen.quality.value
    assert shown["ml_model_quality_limit{toy,1,roc_auc}"] == pytest.approx(0.8)
    assert shown["ml_model_quality_bad{toy,1,roc_auc}"] == 0
    assert shown["ml_model_accuracy{toy,1}"] == seen.quality.accuracy
    traffic.deploy(2, expected=1)
    metrics.observed("toy", look(traffic, bundles))
    assert values(registry) == {}


def test_the_gauges_show_the_loop() -> None:
    registry = CollectorRegistry()
    metrics = ControllerMetrics(registry)
    turn = Turn("t", "toy", "drift", None, "collect", {}, 1.0, 1.0, None, None, None)
    metrics.turn("toy", turn)
    metrics.turns.labels("toy", "promoted").inc()
    metrics.stumbles.labels("toy").inc()
    assert values(registry) == {"ml_loop_open_turn{toy}": 1, "ml_loop_turns_total{toy,promoted}": 1, "ml_loop_stumbles_total{toy}": 1}
    metrics.turn("toy", None)
    assert values(registry)["ml_loop_open_turn{toy}"] == 0


def test_an_observation_is_plain_data(traffic: Traffic, bundles: BundlePlace) -> None:
    traffic.deploy(1)
    traffic.serve(times(300, 1000, 900), moved=2)
    canonical_json(asdict(look(traffic, bundles)))
