from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from treadle.bundle.place import BundlePlace
from treadle.data.snapshot import SnapshotPlace
from treadle.errors import DataInvalid, DataUnavailable
from treadle.projects import Project
from treadle.registry import aliases, promotion
from treadle.registry.explanation import explain
from treadle.registry.tracking import TURN_TAG, Registered, Tracking
from treadle.registry.versions import train_and_register
from treadle.settings import Workspace
from treadle.spec import SimulatedSource
from treadle.state import events, turns
from treadle.state.store import Store

pytestmark = pytest.mark.integration

Train = Callable[..., Registered]


@pytest.fixture
def train(workspace: Workspace, store: Store, project: Project) -> Train:
    def run(project: Project = project, **given: Any) -> Registered:
        return train_and_register(workspace, store, project, **{"seed": 42, "clock": lambda: 5.0, **given})

    return run


def happened(store: Store) -> list[tuple[str, dict[str, Any]]]:
    with store.read() as conn:
        return [(event.kind, event.data) for event in events.after(conn, 0)]


def runs_of(tracking: Tracking) -> list[Any]:
    experiment = tracking.experiment("iris")
    with tracking.client() as client:
        return list(client.search_runs([experiment]))


def test_from_rows_to_a_champion_that_mlflow_loads(
    workspace: Workspace, store: Store, project: Project, tracking: Tracking, train: Train
) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    made = train(tell=lambda kind, **facts: told.append((kind, facts)))

    assert tracking.version("iris", 1) == made
    lineage = BundlePlace(workspace.bundle_dir).get(made.digest).manifest.lineage
    assert (lineage.run_id, lineage.cut, lineage.turn_id, lineage.simulated) == (made.run_id, None, None, False)
    (snapshot,) = SnapshotPlace(workspace.snapshot_dir).list("iris")
    assert lineage.snapshot == snapshot.dvc_md5
    assert [kind for kind, _ in told] == ["data.snapshotted", "data.validated", "training.finished", "version.registered"]
    assert happened(store) == [(kind, {name: fact for name, fact in facts.items() if name != "model"}) for kind, facts in told]
    assert told[0][1] == {"model": "iris", "rows": 150, "digest": snapshot.digest, "source": "library scikit-learn", "simulated": False}
    page = f"reports/validation/iris/{snapshot.digest[:12]}/report.html"
    warning = "1 of 150 rows repeat an earlier row (row 142)"
    assert told[1][1] == {"model": "iris", "rows": 150, "warnings": 1, "first": warning, "report": page}
    assert (workspace.home / page).is_file()
    assert told[3][1] == {"model": "iris", "version": 1, "digest": made.digest, "run": made.run_id, "turn": None}

    (run,) = runs_of(tracking)
    assert (run.info.run_id, run.info.status) == (made.run_id, "FINISHED")
    assert run.data.metrics["accuracy"] >= 0.9
    assert {"f1_macro_low", "cv_f1_macro_mean", "baseline_f1_macro", "latency_p95", "parity_share_beyond"} <= set(run.data.metrics)
    assert (run.data.params["seed"], run.data.params["estimator"]) == ("42", "RandomForestClassifier")
    assert run.data.tags["treadle.snapshot"] == snapshot.dvc_md5

    verdict = promotion.gate_version(workspace, store, project, 1, at=6.0)
    assert verdict.passed
    promotion.promote(workspace, store, project, 1, verdict, at=7.0)
    assert aliases.reconcile(tracking, store, at=8.0) == []
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(workspace.tracking_url)
    try:
        champion = mlflow.pyfunc.load_model("models:/iris@champion")
    finally:
        mlflow.set_tracking_uri(before)
    frame = project.hook("load")(None)
    answered = champion.predict(frame)
    assert np.mean(answered["prediction"] == frame["species"]) > 0.95

    said = "\n".join(explain(store, "iris"))
    assert "the gate let version 1 pass." in said
    assert "generation 1, by treadle: version 1 is champion (100%). Version 1 passed the gate and takes all traffic." in said


def test_a_turn_makes_one_version_however_often_it_is_tried(tracking: Tracking, store: Store, train: Train) -> None:
    experiment = tracking.experiment("iris")
    with tracking.client() as client:
        client.create_run(experiment, tags={TURN_TAG: "t1"})  # what a try left that was killed in training
    first = train(turn_id="t1")
    assert first.turn_id == "t1"
    events_before = happened(store)
    assert train(turn_id="t1") == first
    assert happened(store) == events_before
    assert sorted(run.info.status for run in runs_of(tracking)) == ["FINISHED", "KILLED"]


def test_a_snapshot_brings_its_cut(workspace: Workspace, project: Project, train: Train) -> None:
    place, rows = SnapshotPlace(workspace.snapshot_dir), project.hook("load")(None)
    snapshot = place.save("iris", rows, {"source": "log", "turn": "t1", "cut": 1234.5})
    bundles = BundlePlace(workspace.bundle_dir)
    noted = bundles.get(train(snapshot=snapshot.digest).digest).manifest.lineage
    assert (noted.cut, noted.data_source, noted.snapshot) == (1234.5, "log", snapshot.dvc_md5)
    given = bundles.get(train(snapshot=snapshot.digest, cut=2000.0).digest).manifest.lineage
    assert given.cut == 2000.0


def test_data_that_break_the_contract_stop_it_and_are_told(
    workspace: Workspace, project: Project, store: Store, tracking: Tracking, train: Train
) -> None:
    rows = project.hook("load")(None)
    rows.loc[3, "petal_width"] = -1.0
    snapshot = SnapshotPlace(workspace.snapshot_dir).save("iris", rows, {"source": "a file"})
    with pytest.raises(DataInvalid, match=r"petal_width.*row 3"):
        train(snapshot=snapshot.digest)
    ((kind, facts),) = happened(store)
    assert (kind, facts["type"]) == ("data.refused", "DataInvalid")
    assert "petal_width" in facts["error"]
    (run,) = runs_of(tracking)
    assert run.info.status == "FAILED"
    assert "petal_width" in run.data.tags["treadle.error"]
    assert tracking.versions("iris") == []

    folder = workspace.home / "reports" / "validation" / "iris" / snapshot.digest[:12]
    assert "row 3" in (folder / "report.html").read_text(encoding="utf-8")
    assert pd.read_csv(folder / "bad_rows.csv")["treadle: row"].tolist()[0] == 3
    with tracking.client() as client:
        kept = [one.path for one in client.list_artifacts(run.info.run_id, "validation")]
    assert kept == ["validation/report.html", "validation/report.json"]


def test_data_that_cannot_be_had_are_told(project: Project, store: Store, train: Train) -> None:
    mirrored = project.contract.model_validate({**project.contract.model_dump(), "data": [{"kind": "mirror", "file": "iris.csv"}]})
    with pytest.raises(DataUnavailable):
        train(replace(project, contract=mirrored))
    assert [kind for kind, _ in happened(store)] == ["data.refused"]


def test_made_up_rows_are_marked_as_such(workspace: Workspace, project: Project, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = project.contract.model_copy(update={"data": (SimulatedSource(kind="simulated", rows=150),)})
    simulated = replace(project, contract=contract)
    monkeypatch.setattr(simulated.module, "synthesize", lambda rows, seed: project.hook("load")(None).head(rows), raising=False)
    made = train(simulated)
    assert BundlePlace(workspace.bundle_dir).get(made.digest).manifest.lineage.simulated


def test_a_training_that_fails_is_kept_as_a_failed_run(
    project: Project, store: Store, tracking: Tracking, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(seed: int) -> object:
        message = f"no estimator for seed {seed}"
        raise ValueError(message)

    monkeypatch.setattr(project.module, "build", build)
    with pytest.raises(ValueError, match="no estimator for seed 42"):
        train(project)
    kind, facts = happened(store)[-1]
    assert (kind, facts) == ("training.failed", {"error": "no estimator for seed 42", "type": "ValueError"})
    (run,) = runs_of(tracking)
    assert (run.info.status, run.data.tags["treadle.error"]) == ("FAILED", "ValueError: no estimator for seed 42")
    assert tracking.versions("iris") == []


def test_why_tells_of_refusals_and_turns(workspace: Workspace, store: Store, project: Project, train: Train) -> None:
    assert explain(store, "iris") == ["iris has never been deployed."]
    train()
    promotion.promote(workspace, store, project, 1, promotion.gate_version(workspace, store, project, 1, at=10.0), at=11.0)
    train(seed=7)
    assert not promotion.gate_version(workspace, store, project, 2, at=12.0).passed
    with store.write() as conn:
        turn = turns.open_turn(conn, "iris", cause="Drift was seen.", episode=None, step="collect", at=13.0)
        turns.close(conn, turn, outcome="refused", reason="The gate refused the challenger.", at=14.0)
    said = explain(store, "iris")
    assert said[0].endswith("the gate refused version 2.")
    assert said[1].startswith("No rows are fair to both it and champion version 1")
    assert "generation 1, by treadle: version 1 is champion (100%)" in said[2]
    assert said[3].endswith("the gate let version 1 pass.")
    assert said[-2].endswith("the last turn of the loop ended (refused). The gate refused the challenger.")
    assert said[-1] == "It had opened for this reason: Drift was seen."
