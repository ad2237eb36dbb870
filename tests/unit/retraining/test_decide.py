from dataclasses import replace
from typing import Any

import pytest

from treadle.retraining.decide import Situation, decide, failures_in_a_row
from treadle.spec import RetrainPolicy
from treadle.state.episodes import Episode
from treadle.state.pauses import Pause
from treadle.state.turns import Turn

NOW = 10_000.0
POLICY = RetrainPolicy(backoff=60.0, new_labels=100, max_failures=3)


def episode(**changes: Any) -> Episode:
    plain = Episode(
        id="e1", model="churn", version=1, signal="drift", opened_at=NOW - 10, onset=NOW - 20, closed_at=None, outcome=None, evidence={}
    )
    return replace(plain, **changes)


def turn(outcome: str | None, closed_at: float | None = NOW - 1000) -> Turn:
    return Turn(
        id="t1",
        model="churn",
        cause="",
        episode="e1",
        step="collect",
        data={},
        opened_at=NOW - 2000,
        updated_at=NOW - 1500,
        closed_at=closed_at,
        outcome=outcome,
        reason="",
    )


def situation(**changes: Any) -> Situation:
    return replace(Situation(episodes=(episode(),), open_turn=None, recent=(), new_labels=0, now=NOW), **changes)


def test_an_open_episode_opens_a_turn_for_it() -> None:
    decision = decide(situation(), POLICY)
    assert decision.episode == episode()
    assert "drift episode of version 1" in decision.reason


def test_of_two_episodes_the_older_one_is_the_cause() -> None:
    older = episode(id="e0", signal="quality", opened_at=NOW - 500)
    assert decide(situation(episodes=(episode(), older)), POLICY).episode == older


@pytest.mark.parametrize(
    ("changes", "enabled", "said"),
    [
        ({"episodes": ()}, True, "Nothing is wrong"),
        ({"open_turn": turn(None, None)}, True, "already open, at the step 'collect'"),
        ({}, False, "TREADLE_RETRAINING"),
        ({"recent": (turn("refused", NOW - 5),), "new_labels": 1000}, True, "rests for 60 s"),
        ({"recent": (turn("refused"),), "new_labels": 99}, True, "Only 99 labels have matured"),
    ],
)
def test_what_holds_a_turn_back(changes: dict[str, Any], enabled: bool, said: str) -> None:  # noqa: FBT001
    decision = decide(situation(**changes), POLICY, enabled=enabled)
    assert decision.episode is None
    assert said in decision.reason
    assert not decision.ask


def test_a_pause_holds_back_what_would_open_a_turn() -> None:
    pause = Pause("churn", 1, paused=True, reason="The data move.", actor="ada", at=NOW - 60)
    decision = decide(situation(pause=pause), POLICY)
    assert decision.episode is None
    assert "Paused by ada" in decision.reason
    assert "`treadle resume churn`" in decision.reason


def test_the_policy_can_switch_retraining_off() -> None:
    decision = decide(situation(), RetrainPolicy(automatic=False))
    assert decision.episode is None
    assert "retrain.automatic" in decision.reason


def test_after_rest_and_new_labels_a_failed_turn_is_tried_again() -> None:
    assert decide(situation(recent=(turn("refused"),), new_labels=100), POLICY).episode is not None


def test_after_three_failures_a_person_is_asked_and_nothing_opens() -> None:
    decision = decide(situation(recent=(turn("refused"), turn("aborted"), turn("no labels")), new_labels=10_000), POLICY)
    assert decision.episode is None
    assert decision.ask
    assert "a person is asked" in decision.reason


@pytest.mark.parametrize(
    ("outcomes", "count"),
    [
        ([], 0),
        (["refused"], 1),
        (["refused", "promoted", "refused"], 1),
        (["superseded", "refused"], 0),
        (["aborted", "training failed"], 2),
    ],
)
def test_failures_count_back_to_the_last_turn_that_was_none(outcomes: list[str], count: int) -> None:
    assert failures_in_a_row([turn(outcome) for outcome in outcomes]) == count
