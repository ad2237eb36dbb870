"""Planted challengers, each through the real gate and the real canary: the clause meant for it ends it, and the champion stays."""

from dataclasses import replace
from typing import Any

import pytest

from tests import small_bundles
from tests.integration.retraining.conftest import CUT, Night, told_apart, write_project
from treadle.retraining import steps
from treadle.retraining.controller import Controller
from treadle.state import verdicts
from treadle.state.turns import Turn

pytestmark = pytest.mark.integration

JUDGED = told_apart(60)
LIVE = [(tenure, 60.0 + 10 * (tenure % 10)) for tenure in range(100)]


def test_a_worse_challenger_is_refused_by_the_champion_clause_of_the_gate(night: Night) -> None:
    night.champion()
    turn = night.judged_turn(small_bundles.answering(slope=-0.01))
    night.log(JUDGED, since=CUT)
    night.controller().round()
    ended, verdict = night.turn(), night.verdict(2, "gate")
    assert (ended.id, ended.outcome) == (turn.id, "refused")
    assert [name for name, passed in verdict.evidence["clauses"].items() if not passed] == ["baseline", "champion"]
    assert ended.reason is not None
    assert "worse than that of champion version 1" in ended.reason
    assert night.roles() == {"champion": 1}


def in_canary(night: Night, graph: bytes, **policy: Any) -> tuple[Controller, Turn]:
    """Bring a planted challenger through the gate."""
    if policy:
        write_project(night.workspace, **policy)
    night.champion()
    night.judged_turn(graph)
    night.log(JUDGED if b"table" not in graph else FAILING, since=CUT)
    controller = night.controller()
    controller.round()
    turn = night.turn()
    assert (turn.step, turn.outcome) == ("canary", None), turn.reason
    assert night.roles() == {"champion": 1, "canary": 2}
    return controller, turn


FAILING = [(float(place % 2), 50.0 + place % 7, "yes" if place % 2 else "no") for place in range(60)]
"""Rows on which the failing graph does not fail."""


def ends_by(night: Night, clause: str) -> str:
    turn, verdict = night.turn(), night.verdict(2, "canary")
    assert turn.outcome == "aborted"
    assert verdict.evidence == {"clause": clause}
    assert not verdict.passed
    assert turn.reason is not None
    assert f"The clause '{clause}' decided." in turn.reason
    assert night.events("turn.closed")[-1].data["reason"] == turn.reason
    assert night.roles() == {"champion": 1}
    assert night.deployment.verdict == verdict.id
    return turn.reason


def test_a_failing_challenger_is_aborted_by_its_errors(night: Night) -> None:
    controller, _ = in_canary(night, small_bundles.failing())
    night.serve(LIVE)
    controller.round()
    assert "The canary failed on" in ends_by(night, "errors")


def test_a_slow_challenger_is_aborted_by_its_latency(night: Night) -> None:
    controller, _ = in_canary(night, small_bundles.slow(), gate={"champion_margin": 1}, slo={"latency": 0.002})
    night.serve(LIVE[:40])
    controller.round()
    assert "took longer than 2 ms (slo.latency)" in ends_by(night, "latency")


def test_one_that_disagrees_live_more_than_rehearsed_is_aborted_by_it(night: Night) -> None:
    controller, turn = in_canary(night, small_bundles.answering(lean=1.0))
    assert turn.data["rehearsed"] == [0, 60]
    night.serve([(1, 5.0)] * 60)
    controller.round()
    assert "disagrees with the champion" in ends_by(night, "disagreement")


@pytest.mark.parametrize(("rule", "outcome", "roles"), [("abort", "aborted", {"champion": 1}), ("promote", "promoted", {"champion": 2})])
def test_one_with_too_little_traffic_ends_by_the_deadline_as_the_policy_states(
    night: Night, rule: str, outcome: str, roles: dict[str, int]
) -> None:
    controller, _ = in_canary(night, small_bundles.answering(), rollout={"on_deadline": rule})
    night.serve(LIVE[:6])
    controller.round()
    assert night.turn().outcome is None
    night.now += 600
    controller.round()
    assert night.turn().outcome == outcome
    assert night.verdict(2, "canary").evidence == {"clause": "deadline"}
    assert night.roles() == roles


def test_a_healthy_canary_is_promoted_and_its_looks_are_told(night: Night) -> None:
    controller, _ = in_canary(night, small_bundles.answering(lean=0.001))
    night.serve(LIVE[:40])
    controller.round()
    assert night.turn().data["looked"] > 0
    assert "found no harm" in night.turn().data["seen"]
    night.serve(LIVE[:80])
    controller.round()
    assert night.turn().outcome == "promoted"
    assert night.roles() == {"champion": 2}
    assert night.verdict(2, "canary").passed


def test_both_models_are_judged_on_the_same_later_rows_of_other_entities(night: Night) -> None:
    night.champion()
    turn = night.judged_turn(small_bundles.answering(slope=-0.01))
    night.log(told_apart(50), since=CUT - 100)
    night.log(told_apart(70), since=CUT, entities=["known" if place < 20 else f"new{place}" for place in range(70)])
    ended = steps.judge(night.desk, night.project, turn)
    assert isinstance(ended, steps.End)
    paired = night.verdict(2, "gate").evidence["measured"]["comparison"]["paired"]
    assert paired["n"] == 50
    assert paired["difference"] == pytest.approx(-1.0)


def test_rows_that_the_challenger_may_have_learnt_from_are_refused(night: Night) -> None:
    night.champion()
    night.judged_turn(small_bundles.answering(), cut=CUT + 3)
    night.log(JUDGED, since=CUT)
    night.controller().round()
    ended = night.turn()
    assert ended.outcome == "refused"
    assert ended.reason is not None
    assert "30 of 60 rows were predicted at or before its training cut" in ended.reason
    assert night.roles() == {"champion": 1}


def test_a_challenger_that_fails_on_the_rows_that_judge_it_is_refused(night: Night) -> None:
    night.champion()
    night.judged_turn(small_bundles.failing())
    night.log([(tenure, spend, "yes" if tenure % 2 else "no") for tenure, spend in LIVE], since=CUT)
    night.controller().round()
    assert night.turn().outcome == "refused"
    assert "failed on these rows" in (night.turn().reason or "")


def test_a_turn_without_later_rows_ends_when_its_patience_does(night: Night) -> None:
    night.champion()
    turn = night.judged_turn(small_bundles.answering())
    night.now += 100
    assert steps.judge(night.desk, night.project, turn) is None
    night.now += 1
    ended = steps.judge(night.desk, night.project, turn)
    assert isinstance(ended, steps.End)
    assert ended.outcome == "no labels"
    assert "fewer than 40 labelled rows later than the training cut" in ended.reason


def test_a_policy_that_changes_during_the_canary_ends_it(night: Night) -> None:
    controller, _ = in_canary(night, small_bundles.answering())
    write_project(night.workspace, rollout={"rows": 20})
    night.serve(LIVE)
    controller.round()
    assert night.turn().outcome == "aborted"
    assert night.turn().reason == night.verdict(2, "canary").reasons[0]
    assert "the policy has changed since the verdict" in (night.turn().reason or "")
    assert night.roles() == {"champion": 1}


def test_another_verdict_on_the_canary_does_not_take_its_permission(night: Night) -> None:
    controller, _ = in_canary(night, small_bundles.answering())
    later = night.verdict(2, "gate")
    with night.store.write() as conn:
        verdicts.record(conn, replace(later, id="by hand", passed=False, at=later.at + 1))
    night.serve(LIVE)
    controller.round()
    assert night.turn().outcome == "promoted"


def test_a_canary_whose_bundle_can_no_longer_be_read_is_taken_out(night: Night) -> None:
    controller, turn = in_canary(night, small_bundles.answering())
    night.serve(LIVE)
    small_bundles.flip(night.workspace.bundle_dir, turn.data["digest"])
    controller.round()
    assert night.turn().outcome == "aborted"
    assert "is not the one that was sealed" in (night.turn().reason or "")
    assert night.roles() == {"champion": 1}


def test_a_canary_that_a_person_takes_out_ends_the_turn_as_superseded(night: Night) -> None:
    controller, _ = in_canary(night, small_bundles.answering())
    night.promote(1)
    controller.round()
    assert night.turn().outcome == "superseded"
    assert "by somebody else" in (night.turn().reason or "")
