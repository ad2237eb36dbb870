import pytest

from tests.unit.retraining.conftest import Logger
from treadle.projects import Project
from treadle.retraining.progress import Progress, progress
from treadle.state import deployments, turns
from treadle.state.deployments import Slot
from treadle.state.store import Store

TIMES = [100.0 + place for place in range(15)]


@pytest.mark.parametrize(
    ("step", "data", "expected"),
    [
        ("collect", {"onset": 99.0}, Progress("Collecting labelled rows to train on: 15 of 20.", 15, 20)),
        ("train", {"rows": 20}, Progress("Training a challenger on 20 logged rows.", 0, 0)),
        ("judge", {"cut": 104.0, "version": 2}, Progress("Collecting later rows to judge version 2 on: 10 of 10.", 10, 10)),
        ("canary", {"canary_at": 99.0, "version": 2}, Progress("Version 2 answers 20% of the traffic as canary: 3 of 40 rows.", 3, 40)),
    ],
)
def test_each_step_says_how_far_it_is(
    store: Store, project: Project, log_rows: Logger, step: str, data: dict[str, object], expected: Progress
) -> None:
    log_rows(TIMES)
    log_rows([200.0, 201.0, 202.0], version=2, label=None)
    with store.write() as conn:
        turn = turns.open_turn(conn, "churn", cause="", episode=None, step=step, at=0, data=data)
        assert progress(conn, project, turn, now=300) == expected


@pytest.mark.parametrize("step", ["judge", "consent"])
def test_a_challenger_waits_until_an_ab_test_has_ended(store: Store, project: Project, step: str) -> None:
    slots = [Slot("champion", 1, "a" * 64, 0.5), Slot("arm", 3, "b" * 64, 0.5)]
    with store.write() as conn:
        deployments.insert(conn, "churn", expected=0, slots=slots, reason="a test", at=1.0)
        turn = turns.open_turn(conn, "churn", cause="", episode=None, step=step, at=0, data={"cut": 104.0, "version": 2})
        told = progress(conn, project, turn, now=300)
    assert told == Progress("Version 2 waits until the A/B test has ended: `treadle ab report churn` says how it stands.")
