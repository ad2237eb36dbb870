import pytest

from tests.unit.retraining.conftest import Logger
from treadle.projects import Project
from treadle.retraining.progress import Progress, progress
from treadle.state import turns
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
