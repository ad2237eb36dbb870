from typing import Any

import pytest

from treadle.demo.healing import Healing
from treadle.demo.report import Plan, Times, judge, table
from treadle.simulation.traffic import Tally
from treadle.stack import Addresses
from treadle.state.events import Event

PLACES = Addresses("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3/metrics")
HEALED = Healing("roc_auc", before=0.85, during=0.5, after=0.82, oracle=0.85)
SICK = Healing("roc_auc", before=0.85, during=0.5, after=0.7, oracle=0.85)
DOWN = Healing("roc_auc", before=0.85, during=0.5, after=0.5, oracle=0.85)
OPENED = Event(1, 0.0, "turn.opened", "churn", "treadle", {}, "")
ALARM = Event(1, 0.0, "episode.opened", "churn", "treadle", {}, "")
REFUSED = Event(2, 0.0, "turn.closed", "churn", "treadle", {"outcome": "refused", "reason": "Worse."}, "")


def times(**changes: Any) -> Times:
    return Times(**{"shifted": 0.0, "alarmed": 4.0, "promoted": 40.0, "tallies": {"churn": Tally()}, "logged": 0, "same": True, **changes})


@pytest.mark.parametrize(
    ("arm", "healing", "when", "told", "good", "said"),
    [
        (Plan(), HEALED, times(), [OPENED], True, "Healed: 91%"),
        (Plan(), SICK, times(), [OPENED], False, "only 57%"),
        (Plan(), SICK, times(promoted=None), [REFUSED], False, "Worse."),
        (Plan(), HEALED, times(same=False), [], False, "not what the clients received"),
        (Plan(), HEALED, times(tallies={"churn": Tally(failed=1, failures=["no"])}), [], False, "1 requests failed; the first: no"),
        (Plan(shift=False), HEALED, times(), [], True, "no alarm"),
        (Plan(shift=False), HEALED, times(), [ALARM], False, "there was an alarm"),
        (Plan(retrain=False), DOWN, times(), [ALARM], True, "stays down"),
        (Plan(retrain=False), HEALED, times(), [ALARM], False, "did not stay down"),
        (Plan(retrain=False), DOWN, times(), [OPENED], False, "a turn was opened"),
    ],
)
def test_each_arm_has_its_own_way_to_go_well(
    arm: Plan,
    healing: Healing,
    when: Times,
    told: list[Event],
    good: bool,  # noqa: FBT001
    said: str,
) -> None:
    outcome = judge(arm, healing, when, told)
    assert outcome.good is good
    assert said in outcome.sentence


def test_the_gap_is_measured_from_the_old_model_to_the_oracle() -> None:
    assert HEALED.closed == pytest.approx(0.32 / 0.35)
    assert HEALED.healed
    assert not SICK.healed


def test_the_table_names_every_figure() -> None:
    cells = [str(cell) for column in table(HEALED, times(), PLACES, shift=True).columns for cell in column.cells]
    assert "4.0 s" in cells
    assert "40.0 s" in cells
    assert "0.850" in cells
    assert "91%" in cells
    assert "http://127.0.0.1:1/docs" in cells


def test_what_never_happened_is_said_to_be_never() -> None:
    cells = [str(cell) for column in table(SICK, times(promoted=None), PLACES, shift=True).columns for cell in column.cells]
    assert "never" in cells
