"""What ``status``, ``drift`` and ``why`` show, from a real store and a sealed bundle."""

import io
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import yaml
from rich.console import Console
from rich.table import Table

from tests import small_bundles
from tests.unit.monitoring.served import PROJECT, Traffic
from treadle.bundle.place import BundlePlace
from treadle.console import overview
from treadle.errors import StoreUnavailable
from treadle.monitoring.observe import observe
from treadle.projects import Project, find
from treadle.settings import MARKER, Workspace
from treadle.state import episodes, turns
from treadle.state.store import Store, open_store

NOW = 1000.0


@pytest.fixture
def place(workspace: Workspace) -> Workspace:
    """Return a workspace with one project: the toy whose traffic the tests of the monitoring make."""
    for folder in workspace.projects_dir.iterdir():
        folder.rename(workspace.root / folder.name)
    folder = workspace.projects_dir / "toy"
    folder.mkdir()
    contract = PROJECT.contract.model_dump(mode="json", exclude_none=True)
    (folder / "model.yaml").write_text(yaml.safe_dump(contract))
    (workspace.root / MARKER).write_text("")
    return workspace


@pytest.fixture
def store(place: Workspace) -> Iterator[Store]:
    opened = open_store(place.store_url)
    yield opened
    opened.close()


@pytest.fixture
def traffic(place: Workspace, store: Store) -> Traffic:
    return Traffic(store, BundlePlace(place.bundle_dir))


@pytest.fixture
def project(place: Workspace) -> Project:
    return find(place, "toy")


def drawn(table: Table | str, width: int = 100) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    return file.getvalue()


def test_a_model_that_was_never_deployed_says_what_to_do(place: Workspace, store: Store, project: Project) -> None:
    (one,) = overview.read(place, store, now=NOW)
    assert (one.model, one.generation, one.slots, one.drift_score, one.quality_value) == ("toy", None, (), None, None)
    assert "treadle train toy, then treadle promote toy" in one.loop
    assert "not deployed" in drawn(overview.table([one]))
    assert overview.explain(place, store, project, now=NOW) == [
        "toy has never been deployed.",
        "Next: `treadle train toy`, then `treadle promote toy`.",
    ]


def test_a_deployed_model_without_traffic_is_not_judged(place: Workspace, store: Store, traffic: Traffic) -> None:
    traffic.deploy(1)
    (one,) = overview.read(place, store, now=NOW)
    assert (one.drift, one.quality, one.drifted) == ("0 rows, too few", "0 labelled rows, too few", None)
    assert one.loop == "Nothing is wrong: no episode is open."


def test_a_calm_model_with_traffic(place: Workspace, store: Store, traffic: Traffic) -> None:
    traffic.deploy(1)
    traffic.serve(np.linspace(500, 900, 600).tolist())
    (one,) = overview.read(place, store, now=NOW)
    assert (one.generation, one.drifted) == (1, False)
    assert one.drift.endswith("calm (600 rows)")
    assert one.quality.startswith("roc_auc 0.")
    assert one.quality.endswith("good")
    assert one.logged["rows"] == 600
    assert one.logged["labels"] == 600
    assert "without a prediction" not in drawn(overview.table([one]))
    waiting = replace(one, logged={**one.logged, "orphans": 3})
    assert "600 labels (3 without a prediction)" in drawn(overview.table([waiting]), width=200)


def test_a_changed_world_is_loud(place: Workspace, store: Store, traffic: Traffic, project: Project) -> None:
    traffic.deploy(1)
    traffic.serve(np.linspace(500, 900, 600).tolist(), moved=3.0, broken=True)
    (one,) = overview.read(place, store, now=NOW)
    assert "DRIFTED" in one.drift
    assert one.quality.endswith("BAD")
    found = observe(store, BundlePlace(place.bundle_dir), project, now=NOW)
    text = drawn(overview.drift_table(found))
    assert "drifted" in text
    assert {"tenure", "calls", "severe"} <= set(text.replace("│", " ").split())
    table = overview.drift_table(found)
    assert isinstance(table, Table)
    assert all(str(column.header) for column in table.columns)


def test_too_few_rows_to_judge_drift_is_a_sentence(place: Workspace, store: Store, traffic: Traffic, project: Project) -> None:
    traffic.deploy(1)
    found = observe(store, BundlePlace(place.bundle_dir), project, now=NOW)
    assert overview.drift_table(found) == "0 rows are too few to judge: drift.min_rows is 400."


def test_an_open_turn_says_how_far_it_is(place: Workspace, store: Store, traffic: Traffic, project: Project) -> None:
    traffic.deploy(1)
    with store.write() as conn:
        alarm = episodes.open_episode(conn, "toy", version=1, signal="drift", onset=500.0, evidence={"reasons": ["So."]}, at=600.0)
        turns.open_turn(conn, "toy", cause="So.", episode=alarm.id, step="collect", at=700.0, data={"onset": 500.0})
    assert "rows to train on: 0 of" in overview.read(place, store, now=NOW)[0].loop
    assert "rows to train on: 0 of" in overview.explain(place, store, project, now=NOW)[-1]


def test_the_trouble_of_one_model_does_not_hide_the_others(place: Workspace, store: Store, traffic: Traffic) -> None:
    traffic.deploy(1)
    small_bundles.flip(place.bundle_dir, traffic.bundle.digest)
    (one,) = overview.read(place, store, now=NOW)
    assert one.loop.startswith("TROUBLE: The file model.onnx of bundle")
    assert one.generation == 1


def test_without_a_store_there_is_no_overview(place: Workspace, store: Store, traffic: Traffic, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("sqlite://", "gone")

    traffic.deploy(1)
    monkeypatch.setattr(overview, "observe", away)
    with pytest.raises(StoreUnavailable):
        overview.read(place, store, now=NOW)


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_a_terminal_and_cuts_nothing(place: Workspace, store: Store, traffic: Traffic, width: int) -> None:
    traffic.deploy(1)
    traffic.serve(np.linspace(500, 900, 600).tolist(), moved=3.0, broken=True)
    (one,) = overview.read(place, store, now=NOW)
    lines = drawn(overview.table([one]), width).splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(lines).replace("│", " ").split()
    # No word is broken in two at the edge of its cell.
    assert {"toy", "champion", "v1", "100%", "DRIFTED", "roc_auc", "BAD", "600", "labels", "failed"} <= set(words)
    assert not any("…" in line for line in lines)
