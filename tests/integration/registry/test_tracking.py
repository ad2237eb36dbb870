import multiprocessing
import sqlite3
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from treadle.bundle.place import Bundle
from treadle.errors import BundleCorrupt, TrackingUnavailable, VersionNotFound, VersionNotSealed
from treadle.registry import runs
from treadle.registry.tracking import TURN_TAG, Registered, Tracking
from treadle.settings import Settings, Workspace

pytestmark = pytest.mark.integration

Maker = Callable[..., Bundle]


def register(tracking: Tracking, bundle: Bundle, turn_id: str | None = None) -> Registered:
    with runs.started(tracking, "iris", name="test", turn_id=turn_id) as run:
        return run.register(bundle, turn_id)


def statuses(tracking: Tracking) -> list[str]:
    experiment = tracking.experiment("iris")
    with tracking.client() as client:
        return sorted(run.info.status for run in client.search_runs([experiment]))


def test_a_version_is_found_by_number_and_by_turn(tracking: Tracking, bundle: Maker) -> None:
    first = register(tracking, bundle())
    second = register(tracking, bundle(turn_id="t1"), "t1")
    assert (first.version, second.version, second.turn_id) == (1, 2, "t1")
    assert tracking.version("iris", 1) == first
    assert tracking.require("iris") == second
    assert tracking.versions("iris") == [first, second]
    assert tracking.find_by_turn("iris", "t1") == 2
    assert tracking.find_by_turn("iris", "t2") is None
    with pytest.raises(VersionNotFound, match="iris has no version 7: choose from 1, 2"):
        tracking.version("iris", 7)
    with pytest.raises(VersionNotFound, match="churn has no version: there are none yet"):
        tracking.require("churn")


def test_a_version_that_treadle_did_not_make_names_no_bundle(tracking: Tracking) -> None:
    with tracking.client() as client:
        client.create_registered_model("iris")
        client.create_model_version("iris", "file:///elsewhere")
    assert tracking.versions("iris") == []
    with pytest.raises(VersionNotSealed, match="iris version 1 names no sealed bundle"):
        tracking.version("iris", 1)


def test_a_run_keeps_what_was_logged(tracking: Tracking) -> None:
    with runs.started(tracking, "iris", name="test", turn_id=None) as run:
        run.log(params={"depth": 3, "long": "x" * 9000}, metrics={"accuracy": 0.9, "undefined": float("nan")}, tags={"colour": "red"})
        run.attach("card.json", {"rows": 150})
    with tracking.client() as client:
        kept = client.get_run(run.id)
        assert kept.info.status == "FINISHED"
        assert kept.data.metrics == {"accuracy": 0.9}
        assert kept.data.params["depth"] == "3"
        assert len(kept.data.params["long"]) == runs.PARAM_LENGTH
        assert kept.data.tags["colour"] == "red"
        assert [item.path for item in client.list_artifacts(run.id)] == ["card.json"]


@pytest.mark.parametrize(("error", "status"), [(ValueError("no such column"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_a_run_that_breaks_off_is_kept_with_its_error(tracking: Tracking, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), runs.started(tracking, "iris", name="test", turn_id=None) as run:
        raise error
    with tracking.client() as client:
        kept = client.get_run(run.id)
    assert kept.info.status == status
    assert kept.data.tags["treadle.error"] == f"{type(error).__name__}: {error}"


def test_what_a_killed_try_left_running_is_ended_on_the_next_one(tracking: Tracking, bundle: Maker) -> None:
    experiment = tracking.experiment("iris")
    with tracking.client() as client:
        client.create_run(experiment, tags={TURN_TAG: "t1"})
        other = client.create_run(experiment, tags={TURN_TAG: "t2"})
    register(tracking, bundle(), "t1")
    assert statuses(tracking) == ["FINISHED", "KILLED", "RUNNING"]
    with tracking.client() as client:
        assert client.get_run(other.info.run_id).info.status == "RUNNING"


def test_a_run_that_was_killed_after_it_made_its_version_is_finished(tracking: Tracking, bundle: Maker) -> None:
    experiment = tracking.experiment("iris")
    with tracking.client() as client:
        left = client.create_run(experiment, tags={TURN_TAG: "t1"})
    runs.Run(tracking, "iris", experiment, left.info.run_id).register(bundle(), "t1")
    runs.end_orphans(tracking, "iris", "t1")
    assert statuses(tracking) == ["FINISHED"]


def test_mlflows_users_load_a_version(tracking: Tracking, bundle: Maker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    register(tracking, bundle())
    assert [path.name for path in tmp_path.iterdir()] == ["workspace"]  # MLflow's process-wide state was left alone
    with tracking.client() as client:
        client.set_registered_model_alias("iris", "champion", "1")
    frame = pd.DataFrame(
        {"sepal_length": [5, 6], "sepal_width": [3, 3], "petal_length": [1.4, 6.0], "petal_width": [0.2, 2.3], "extra": ["a", "b"]},
        index=["x", "y"],
    )
    answered = load(tracking, "models:/iris@champion").predict(frame)
    assert list(answered.columns) == [
        "prediction",
        "confidence",
        "probabilities.setosa",
        "probabilities.versicolor",
        "probabilities.virginica",
    ]
    assert answered["prediction"].to_dict() == {"x": "setosa", "y": "virginica"}
    assert np.allclose(answered.filter(like="probabilities.").sum(axis=1), 1)


def test_a_model_folder_with_a_flipped_byte_does_not_load(tracking: Tracking, bundle: Maker, workspace: Workspace) -> None:
    register(tracking, bundle())
    (graph,) = (workspace.home / "mlartifacts").rglob("model.onnx")
    content = bytearray(graph.read_bytes())
    content[100] ^= 1
    graph.write_bytes(content)
    with pytest.raises(BundleCorrupt, match=r"model\.onnx"):
        load(tracking, "models:/iris/1")


def load(tracking: Tracking, uri: str) -> mlflow.pyfunc.PyFuncModel:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(tracking.url)
    try:
        return mlflow.pyfunc.load_model(uri)
    finally:
        mlflow.set_tracking_uri(before)


def _first_use(root: Path, barrier: "multiprocessing.synchronize.Barrier") -> None:
    tracking = Tracking(Workspace(root, Settings()))
    barrier.wait()
    tracking.experiment("iris")


def test_two_processes_may_be_the_first_to_use_it(workspace: Workspace) -> None:
    (workspace.home / "mlflow.db").unlink()
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    other = context.Process(target=_first_use, args=(workspace.root, barrier))
    other.start()
    _first_use(workspace.root, barrier)
    other.join(60)
    assert other.exitcode == 0
    with sqlite3.connect(workspace.home / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM experiments WHERE name = 'iris'").fetchone() == (1,)


def test_an_mlflow_that_is_away_is_named_without_its_password(workspace: Workspace) -> None:
    settings = workspace.settings.model_copy(update={"tracking_url": "mysql+nodriver://me:secret@127.0.0.1/mlflow"})
    with pytest.raises(TrackingUnavailable) as raised:
        Tracking(Workspace(workspace.root, settings)).experiment("iris")
    assert "secret" not in str(raised.value)
    assert "mysql+nodriver://me:***@127.0.0.1/mlflow" in str(raised.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:secret@tracking:5000", "http://me:***@tracking:5000"),
        ("postgresql://me:secret@db/mlflow", "postgresql://me:***@db/mlflow"),
        ("databricks", "databricks"),
    ],
)
def test_a_url_is_shown_without_its_password(workspace: Workspace, url: str, shown: str) -> None:
    settings = workspace.settings.model_copy(update={"tracking_url": url})
    assert Tracking(Workspace(workspace.root, settings)).url == shown


def test_a_home_that_cannot_be_written_is_named(workspace: Workspace) -> None:
    (workspace.root / "file").touch()
    settings = workspace.settings.model_copy(update={"home": Path("file")})
    with pytest.raises(TrackingUnavailable, match=r"its lock in .*file cannot be had"):
        Tracking(Workspace(workspace.root, settings)).experiment("iris")
