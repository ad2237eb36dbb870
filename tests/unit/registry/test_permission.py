from dataclasses import replace

import pytest

from treadle.registry.permission import objection, outdated
from treadle.spec import DriftPolicy, Policy
from treadle.state.deployments import Deployment, Slot
from treadle.state.verdicts import Verdict

POLICY = Policy()
PRESENT = Deployment("iris", 3, (Slot("champion", 1, "a" * 64, 1.0),), "because", None, "treadle", 0.0)
VERSION = ("iris", 2, "b" * 64)
VERDICT = Verdict("v1", *VERSION, "gate", passed=True, reasons=(), policy_digest=POLICY.digest, evidence={"champion": "a" * 64}, at=1.0)

NOT_ABOUT = "not about iris version 2 with bundle bbbbbbbbbbbb."


def test_a_passed_verdict_about_this_bundle_under_this_policy_and_champion_permits() -> None:
    assert objection(VERDICT, VERSION, POLICY, PRESENT) is None


def test_the_first_version_needs_no_champion() -> None:
    assert objection(replace(VERDICT, evidence={"champion": None}), VERSION, POLICY, None) is None


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (None, "the verdict is not in the record."),
        (replace(VERDICT, digest="c" * 64), f"the verdict is about iris version 2 with bundle cccccccccccc, {NOT_ABOUT}"),
        (replace(VERDICT, version=1), f"the verdict is about iris version 1 with bundle bbbbbbbbbbbb, {NOT_ABOUT}"),
        (replace(VERDICT, model="churn"), f"the verdict is about churn version 2 with bundle bbbbbbbbbbbb, {NOT_ABOUT}"),
        (replace(VERDICT, kind="canary"), "the verdict is the canary's, not the gate's."),
        (replace(VERDICT, passed=False, reasons=("It is worse.", "It is slow.")), "the gate refused it. It is worse. It is slow."),
        (replace(VERDICT, policy_digest="old"), "the policy has changed since the verdict."),
        (replace(VERDICT, evidence={"champion": "z" * 64}), "the champion has changed since the verdict."),
        (replace(VERDICT, evidence={"champion": None}), "the champion has changed since the verdict."),
        (replace(VERDICT, evidence={}), "the champion has changed since the verdict."),
    ],
)
def test_anything_else_does_not(verdict: Verdict | None, sentence: str) -> None:
    assert objection(verdict, VERSION, POLICY, PRESENT) == sentence


def test_any_change_of_the_policy_asks_for_a_new_verdict() -> None:
    changed = POLICY.model_copy(update={"drift": DriftPolicy(score=0.4)})
    assert objection(VERDICT, VERSION, changed, PRESENT) == "the policy has changed since the verdict."


def test_the_champion_cannot_be_promoted_again() -> None:
    champion = ("iris", 1, "a" * 64)
    assert objection(replace(VERDICT, version=1, digest="a" * 64), champion, POLICY, PRESENT) == "it is the champion already."


@pytest.mark.parametrize(
    ("newest", "sentence"),
    [
        (None, None),
        (VERDICT, None),
        (replace(VERDICT, id="v2", passed=False, reasons=("It is worse.",)), "the gate has refused it since. It is worse."),
        (replace(VERDICT, id="v2", reasons=("It is better.",)), "the gate has judged it anew since. It is better."),
    ],
)
def test_only_the_last_word_of_the_gate_counts(newest: Verdict | None, sentence: str | None) -> None:
    assert outdated(VERDICT, newest) == sentence
