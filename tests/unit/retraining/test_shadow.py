"""A version answers again what others have answered: real bundles, a real store, a clock of ours."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import small_bundles
from tests.small_bundles import INTERFACE
from tests.unit.retraining.conftest import Logger
from treadle.bundle.place import BundlePlace
from treadle.console import shadowed
from treadle.engine.session import Engine
from treadle.errors import StoreUnavailable
from treadle.projects import Project
from treadle.registry.tracking import Registered
from treadle.retraining import shadow
from treadle.retraining.shadow import Shadow, ShadowReport, record, told_of
from treadle.settings import Settings, Workspace
from treadle.spec import Interface
from treadle.state import events
from treadle.state.schema import deployment, predictions, verdicts
from treadle.state.store import Store

ANSWERED = np.array([[0.5, 0.5]], dtype=np.float32)


class Place:
    """What a shadow needs, with a clock that stands at 1000."""

    def __init__(self, folder: Path, store: Store, project: Project, bundles: BundlePlace) -> None:
        self.now = 1000.0
        self.store, self.project, self.bundles = store, project, bundles
        self.workspace = Workspace(folder, Settings(home=Path(), bundle_dir=Path("bundles")))

    def shadow(self, graph: bytes, interface: Interface = INTERFACE, **how: Any) -> Shadow:
        digest = small_bundles.put(self.bundles.folder, graph, interface).digest
        found = Registered("churn", 2, digest, "run", None)
        return Shadow(self.workspace, self.store, self.project, found, clock=lambda: self.now, **{"since": 0.0, **how})

    def run(self, graph: bytes, interface: Interface = INTERFACE, **how: Any) -> ShadowReport:
        made = self.shadow(graph, interface, **how)
        made.run()
        return made.report()


@pytest.fixture
def place(tmp_path: Path, store: Store, project: Project, bundles: BundlePlace) -> Place:
    return Place(tmp_path, store, project, bundles)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "PAGE", 7)


def logged(place: Place) -> np.ndarray:
    with place.store.read() as conn:
        rows = conn.execute(predictions.select().order_by(predictions.c.at, predictions.c.prediction_id)).all()
    return np.array([np.frombuffer(row.row, dtype="<f4") for row in rows])


def test_it_is_compared_with_what_callers_were_told(place: Place, log_rows: Logger) -> None:
    log_rows([float(at) for at in range(1, 31)])
    graph = small_bundles.answering(0.03)
    scores = Engine(small_bundles.put(place.bundles.folder, graph)).run(logged(place))

    report = place.run(graph)

    apart = np.abs(scores - ANSWERED).max(axis=1)
    assert (report.rows, report.failed) == (30, 0)
    assert report.disagreed == int((scores.argmax(axis=1) != 0).sum()) > 0
    assert report.difference == pytest.approx(apart.mean(), rel=1e-5)
    assert report.largest == pytest.approx(apart.max(), rel=1e-5)
    assert report.agreement == 1 - report.disagreed / 30
    assert report.latency is not None
    assert all(seconds > 0 for seconds in report.latency)


def test_pages_lose_no_row_and_count_none_twice(place: Place, log_rows: Logger) -> None:
    log_rows([5.0] * 20 + [float(at) for at in range(6, 20)])

    assert place.run(small_bundles.answering(0.5)).rows == 34
    assert place.run(small_bundles.answering(0.5), since=5.0).rows == 14


def test_its_own_answers_named_versions_and_failures_are_no_comparison(place: Place, log_rows: Logger) -> None:
    graph = small_bundles.answering(0.5)
    own = small_bundles.put(place.bundles.folder, graph).digest
    log_rows([1.0, 2.0])
    log_rows([3.0], digest=own, version=2, role="canary")
    log_rows([4.0], role="pinned")
    log_rows([5.0], status="failed", label=None)

    assert place.run(graph).rows == 2


def test_a_share_takes_the_same_rows_each_time(place: Place, log_rows: Logger) -> None:
    log_rows([float(at) for at in range(1, 201)])
    graph = small_bundles.answering(0.5)

    once, again = (place.run(graph, share=0.25) for _ in range(2))

    assert once.rows == again.rows
    assert 25 < once.rows < 80
    assert once.disagreed == again.disagreed


def test_rows_on_which_it_fails_are_counted(place: Place, log_rows: Logger) -> None:
    log_rows([float(at) for at in range(1, 15)])
    failing = int((logged(place)[:, 0] > 1).sum())

    report = place.run(small_bundles.failing())

    assert (report.rows, report.failed) == (14, failing)
    assert report.agreement is not None


def test_where_it_fails_on_all_of_them_nothing_else_is_said(place: Place, log_rows: Logger) -> None:
    log_rows([1.0], row=np.array([5, 5], dtype="<f4").tobytes())

    report = place.run(small_bundles.failing())

    assert (report.failed, report.agreement, report.difference) == (1, None, None)
    assert "failed on 1" in shadowed.text(report)


def test_rows_are_read_under_its_own_interface(place: Place, log_rows: Logger) -> None:
    narrow = INTERFACE.model_copy(update={"features": (INTERFACE.features[0].model_copy(update={"max": 3}), INTERFACE.features[1])})
    optional = small_bundles.WIDER.features[2].model_copy(update={"required": False})
    wider = INTERFACE.model_copy(update={"features": (*INTERFACE.features, optional)})
    log_rows([float(at) for at in range(1, 15)])

    assert place.run(small_bundles.answering(0.5, 3, gaps=True), wider).rows == 14
    report = place.run(small_bundles.answering(0.5), narrow)
    assert report.rows + sum(int(said.split()[0]) for said in report.left_out if "rows were left out" in said) >= 14


def test_what_it_cannot_be_asked_is_left_out_with_the_reason(place: Place, log_rows: Logger) -> None:
    log_rows([1.0, 2.0], label=None)
    log_rows([3.0], digest="0" * 64, label=None)
    report = place.run(small_bundles.answering(0.5, 3), small_bundles.WIDER)

    assert report.rows == 0
    assert [said.split(":")[0] for said in report.left_out] == ["2 rows were left out", "1 rows were left out"]
    assert "No row of another version" in shadowed.text(report)


def test_both_are_measured_on_labelled_rows_that_it_has_not_learnt_from(place: Place, log_rows: Logger) -> None:
    log_rows([float(at) for at in range(1, 41)], label="yes")
    log_rows([float(at) for at in range(41, 81)], label="no")
    log_rows([995.0], label="no")

    report = place.run(small_bundles.answering(0.5))

    assert report.quality is not None
    assert (report.quality.metric, report.quality.rows, report.quality.answered) == ("roc_auc", 80, 0.5)
    assert "Whether it has learnt" in report.left_out[-1]
    assert "On 80 labelled rows: roc_auc" in shadowed.text(report)


def test_what_it_fails_on_has_no_quality(place: Place, log_rows: Logger) -> None:
    log_rows([float(at) for at in range(1, 41)])

    report = place.run(small_bundles.failing())

    assert report.quality is None
    assert "Its quality cannot be measured" in report.left_out[-1]


def test_following_goes_on_where_it_stopped_and_says_so(place: Place, log_rows: Logger) -> None:
    made = place.shadow(small_bundles.answering(0.5))
    told: list[ShadowReport] = []
    log_rows([float(at) for at in range(1, 11)])
    pauses: list[float] = []

    def wait(pause: float) -> bool:
        pauses.append(pause)
        if len(pauses) == 4:
            log_rows([float(at) for at in range(2001, 2006)])
            log_rows([2999.0])
            place.now = 3000.0
        return len(pauses) > 6

    made.follow(wait, every=10, tell=told.append, poll=0.5)

    # 2999 has not lain long enough yet.
    assert made.rows == 15
    assert [report.rows for report in told] == [10]
    assert pauses[:3] == [0.0, 0.0, 0.5]
    assert shadowed.line(told[0]).startswith("10 rows up to ")


def test_following_waits_for_a_store_that_is_away(place: Place, log_rows: Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    log_rows([1.0, 2.0])
    made = place.shadow(small_bundles.answering(0.5))
    there, pauses = place.store.read, []

    def away() -> Any:
        raise StoreUnavailable("sqlite:///", "it is away")

    monkeypatch.setattr(place.store, "read", away)

    def wait(pause: float) -> bool:
        pauses.append(pause)
        if len(pauses) == 2:
            monkeypatch.setattr(place.store, "read", there)
        return len(pauses) > 3

    made.follow(wait, every=100, tell=lambda _: None, poll=0.5)

    assert made.rows == 2
    assert pauses[1] == 2.5


def test_a_report_is_an_event_and_changes_nothing(place: Place, log_rows: Logger) -> None:
    log_rows([1.0, 2.0])
    report = place.run(small_bundles.answering(0.5))
    record(place.store, report, at=1001.0, actor="ada")

    with place.store.read() as conn:
        (event,) = [one for one in events.after(conn, 0) if one.kind == "shadow.reported"]
        assert not conn.execute(deployment.select()).all()
        assert not conn.execute(verdicts.select()).all()
    assert (event.model, event.actor, event.data["rows"], event.data["version"]) == ("churn", "ada", 2, 2)
    assert told_of(report)["agreement"] == report.agreement
