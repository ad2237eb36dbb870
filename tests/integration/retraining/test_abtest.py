"""What the loop does while an A/B test runs: it waits with its own comparison, and takes out what a person has refused."""

import pytest

from tests import small_bundles
from tests.integration.retraining.conftest import CUT, Night, told_apart, write_project
from treadle.registry import roles
from treadle.registry.roles import Change
from treadle.state import consents, deployments, verdicts
from treadle.state.consents import Word
from treadle.state.deployments import Slot
from treadle.state.verdicts import Verdict

pytestmark = pytest.mark.integration


def start(night: Night, version: int) -> None:
    """Give a version a fifth of the traffic as arm, as one that the gate has let pass."""
    present, digest = night.deployment, night.digest(version)
    policy = night.project.contract.policy.digest
    evidence = {"champion": present.champion.digest if present.champion else None}
    verdict = Verdict(
        "arm", "churn", version, digest, "gate", passed=True, reasons=(), policy_digest=policy, evidence=evidence, at=night.now
    )
    with night.store.write() as conn:
        verdicts.record(conn, verdict)
        slots = deployments.with_arms(present, [Slot("arm", version, digest, 0.2)])
        deployments.insert(conn, "churn", expected=present.generation, slots=slots, reason="a test", verdict="arm", at=night.now)


def test_a_challenger_waits_until_the_test_has_ended(night: Night) -> None:
    write_project(night.workspace)
    night.champion()
    night.judged_turn(small_bundles.answering(lean=0.001))
    night.log(told_apart(60), since=CUT)
    start(night, night.register(small_bundles.answering(lean=0.002)))
    controller = night.controller()
    controller.round()
    controller.round()
    assert (night.turn().step, night.roles()) == ("judge", {"champion": 1, "arm": 3})
    assert night.events("controller.stumbled") == []
    roles.stop_test(night.store, "churn", Change("ada", night.now, "Enough."))
    controller.round()
    assert (night.turn().step, night.roles()) == ("canary", {"champion": 1, "canary": 2})


def test_an_arm_that_a_person_refuses_is_taken_out(night: Night) -> None:
    write_project(night.workspace)
    night.champion()
    start(night, night.register(small_bundles.answering(lean=0.002)))
    controller = night.controller()
    controller.round()
    assert night.roles() == {"champion": 1, "arm": 2}
    with night.store.write() as conn:
        verdict = verdicts.get(conn, "arm")
        assert verdict is not None
        consents.give(conn, Word("reject", "Unfair.", "eve", "key", night.now).on(verdict))
    controller.round()
    assert night.roles() == {"champion": 1}
    assert "eve has refused version 2" in night.deployment.reason
