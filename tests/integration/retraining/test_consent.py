"""People between the gate and the canary, and the switch that stops a loop: what waits, what goes on, what ends."""

from typing import Any

import pytest

from tests import small_bundles
from tests.integration.retraining.conftest import CUT, Night, told_apart, write_project
from treadle.console import overview
from treadle.retraining import steps
from treadle.retraining.controller import Controller
from treadle.state import consents, pauses, verdicts
from treadle.state.consents import Decision, Word

pytestmark = pytest.mark.integration

JUDGED = told_apart(60)
LIVE = [(tenure, 60.0 + 10 * (tenure % 10)) for tenure in range(100)]


def say(night: Night, decision: Decision, who: str = "ada") -> None:
    """Let a person say something about the gate's last verdict on version 2."""
    with night.store.write() as conn:
        verdict = verdicts.latest(conn, "churn", 2, "gate")
        assert verdict is not None
        consents.give(conn, Word(decision, f"says {who}", who, "key", night.now).on(verdict))


def turn_switch(night: Night, *, paused: bool) -> None:
    with night.store.write() as conn:
        pauses.turn(conn, "churn", paused=paused, reason="The data move.", actor="ada", at=night.now)


def at_the_gate(night: Night, **policy: Any) -> Controller:
    """Bring a sound challenger through the gate under a policy."""
    write_project(night.workspace, **policy)
    night.champion()
    night.judged_turn(small_bundles.answering(lean=0.001))
    night.log(JUDGED, since=CUT)
    controller = night.controller()
    controller.round()
    return controller


def loop(night: Night) -> str:
    return overview.loop_sentence(night.workspace, night.store, night.project, now=night.now)


class TestConsent:
    def test_two_people_are_asked_once_and_the_canary_starts_under_the_verdict_they_agreed_to(self, night: Night) -> None:
        controller = at_the_gate(night, approval={"people": 2})
        controller.round()
        assert night.turn().step == "consent"
        assert night.roles() == {"champion": 1}
        (asked,) = night.events("approval.needed")
        assert (asked.data["version"], asked.data["people"], asked.data["of"]) == (2, 2, [])
        say(night, "approve", "ada")
        say(night, "approve", "Ada")
        controller.round()
        assert (
            "approved by ada; the policy asks for 2 (approval.people), 1 missing. next: a second person types `treadle approve churn"
            in loop(night).lower()
        )
        assert night.roles() == {"champion": 1}
        say(night, "approve", "grace")
        controller.round()
        assert (night.turn().step, night.roles()) == ("canary", {"champion": 1, "canary": 2})
        assert night.deployment.verdict == night.verdict(2, "gate").id == night.turn().data["verdict"]
        assert night.turn().data["rehearsed"] == [0, 60]
        assert len(night.events("approval.needed")) == 1
        # The rest of the rollout asks nobody again, also after the consent has expired.
        night.now += 500
        night.serve(LIVE[:80])
        controller.round()
        night.serve(LIVE[:80])
        controller.round()
        assert (night.turn().outcome, night.roles()) == ("promoted", {"champion": 2})

    def test_a_refusal_ends_the_turn_with_its_reason_and_counts_as_a_failure(self, night: Night) -> None:
        controller = at_the_gate(night, approval={"people": 1})
        night.alarm()
        say(night, "reject", "grace")
        controller.round()
        ended = night.turn()
        assert ended.outcome == "rejected"
        assert "grace has refused version 2 on" in (ended.reason or "")
        assert "says grace" in (ended.reason or "")
        assert night.roles() == {"champion": 1}
        controller.round()
        assert len(night.turns()) == 1  # the loop rests, and asks the same thing not again at once
        assert "retrain.backoff" in loop(night)

    def test_silence_ends_it_after_the_patience_in_which_it_was_not_paused(self, night: Night) -> None:
        controller = at_the_gate(night, approval={"people": 1})
        night.now += 60
        turn_switch(night, paused=True)
        night.now += 1000
        controller.round()
        turn_switch(night, paused=False)
        night.now += 40
        controller.round()
        assert night.turn().outcome is None
        night.now += 1
        controller.round()
        assert night.turn().outcome == "no consent"
        assert "approved by nobody yet" in (night.turn().reason or "")

    def test_a_policy_that_changes_meanwhile_judges_again_and_asks_again(self, night: Night) -> None:
        controller = at_the_gate(night, approval={"people": 1})
        say(night, "approve")
        write_project(night.workspace, approval={"people": 1}, drift={"score": 0.4})
        controller.round()
        assert night.turn().step == "judge"
        night.now += 1
        controller.round()
        assert (night.turn().step, night.roles()) == ("consent", {"champion": 1})
        assert len(night.events("approval.needed")) == 2
        say(night, "approve")
        controller.round()
        assert night.turn().step == "canary"

    def test_another_champion_meanwhile_ends_it(self, night: Night) -> None:
        controller = at_the_gate(night, approval={"people": 1})
        night.promote(night.register(small_bundles.answering(lean=0.1)))
        say(night, "approve")
        controller.round()
        assert night.turn().outcome == "superseded"

    def test_a_consent_that_came_before_is_enough_if_nothing_must_be_asked(self, night: Night) -> None:
        at_the_gate(night, approval={"people": 0})
        assert night.turn().step == "canary"
        assert night.events("approval.needed") == []

    def test_a_controller_that_died_after_the_start_of_the_canary_goes_on_with_it(self, night: Night) -> None:
        controller = at_the_gate(night, approval={"people": 1})
        say(night, "approve")
        before = night.turn()
        controller.round()
        started = night.deployment
        again = steps.consent(night.desk, night.project, before)
        assert isinstance(again, steps.Next)
        assert (again.step, again.data["canary_at"], again.data["rehearsed"]) == ("canary", started.at, [0, 60])
        assert night.deployment == started

    def test_one_who_refuses_the_canary_has_it_taken_out(self, night: Night) -> None:
        controller = at_the_gate(night)
        assert night.roles() == {"champion": 1, "canary": 2}
        say(night, "reject")
        controller.round()
        assert (night.turn().outcome, night.roles()) == ("rejected", {"champion": 1})
        assert night.verdict(2, "canary").evidence == {"clause": "consent"}


class TestPause:
    def test_no_turn_opens_and_no_step_goes_on(self, night: Night) -> None:
        night.champion()
        night.alarm()
        turn_switch(night, paused=True)
        controller = night.controller()
        controller.round()
        assert night.turns() == []
        assert loop(night).startswith("Paused by ada on ")
        turn_switch(night, paused=False)
        controller.round()
        assert night.turn().step == "collect"
        turn_switch(night, paused=True)
        night.log(told_apart(200), since=CUT)
        controller.round()
        assert night.turn().step == "collect"
        assert "The data move. `treadle resume churn` lets it go on. Collecting labelled rows" in loop(night)
        assert night.desk.trainers == {}

    def test_a_harmless_canary_waits_for_its_end(self, night: Night) -> None:
        controller = at_the_gate(night)
        turn_switch(night, paused=True)
        night.serve(LIVE[:40])
        controller.round()
        looked = night.turn().data.get("looked", 0)
        night.serve(LIVE)
        for _ in range(3):
            night.now += 300  # far beyond rollout.deadline
            controller.round()
        assert (night.turn().outcome, night.roles()) == (None, {"champion": 1, "canary": 2})
        assert looked > 0
        turn_switch(night, paused=False)
        controller.round()
        assert (night.turn().outcome, night.roles()) == ("promoted", {"champion": 2})

    def test_harm_still_takes_a_canary_out(self, night: Night) -> None:
        write_project(night.workspace)
        night.champion()
        night.judged_turn(small_bundles.answering(lean=1.0))
        night.log(JUDGED, since=CUT)
        controller = night.controller()
        controller.round()
        assert night.roles() == {"champion": 1, "canary": 2}
        turn_switch(night, paused=True)
        night.serve([(1, 5.0)] * 60)
        controller.round()
        assert (night.turn().outcome, night.roles()) == ("aborted", {"champion": 1})

    def test_a_refused_canary_is_taken_out_too(self, night: Night) -> None:
        controller = at_the_gate(night)
        turn_switch(night, paused=True)
        say(night, "reject")
        controller.round()
        assert (night.turn().outcome, night.roles()) == ("rejected", {"champion": 1})
