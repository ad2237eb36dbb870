"""Whether people agree, as a table: what was said, how many must agree, and how it stands."""

import pytest

from treadle.registry.consent import refusals, standing, told
from treadle.spec import ApprovalPolicy
from treadle.state.consents import Consent, Decision, Word
from treadle.state.verdicts import Verdict
from treadle.times import when

NOW = 1_000_000.0
VERDICT = Verdict("v1", "churn", 3, "d" * 64, "gate", passed=True, reasons=(), policy_digest="p", evidence={}, at=NOW - 500)


def said(actor: str, decision: Decision = "approve", *, ago: float = 100.0, source: str = "key") -> Consent:
    return Word(decision, "looked at it.", actor, source, NOW - ago).on(VERDICT)


def yes(actor: str, *, ago: float = 100.0, source: str = "key") -> Consent:
    return said(actor, ago=ago, source=source)


def no(actor: str, *, ago: float = 100.0) -> Consent:
    return said(actor, "reject", ago=ago)


ONE, TWO, NOBODY = ApprovalPolicy(people=1, expire=1000), ApprovalPolicy(people=2, expire=1000), ApprovalPolicy()
NAMED = ApprovalPolicy(people=2, of=("ada", "grace"), expire=1000)


@pytest.mark.parametrize(
    ("policy", "words", "given", "missing"),
    [
        (NOBODY, [], True, 0),
        (ONE, [], False, 1),
        (ONE, [yes("ada")], True, 0),
        (TWO, [yes("ada")], False, 1),
        (TWO, [yes("ada"), yes("grace")], True, 0),
        (TWO, [yes("ada"), yes("grace"), yes("joan")], True, 0),
        # one person is one, whatever the way, however often, however it is written
        (TWO, [yes("ada"), yes("ada", ago=50)], False, 1),
        (TWO, [yes("ada"), yes("ada", source="os")], False, 1),
        (TWO, [yes("ada"), yes("ADA", source="proxy")], False, 1),
        # a yes holds for a time
        (ONE, [yes("ada", ago=1000)], True, 0),
        (ONE, [yes("ada", ago=1001)], False, 1),
        (ONE, [yes("ada", ago=1001), yes("ada", ago=10)], True, 0),
        # a no holds until the same person says yes, and does not grow old
        (ONE, [yes("ada"), no("grace")], False, 0),
        (ONE, [no("ada", ago=5000), yes("grace")], False, 0),
        (ONE, [no("ada", ago=200), yes("ada", ago=100)], True, 0),
        (ONE, [yes("ada", ago=200), no("ada", ago=100)], False, 1),
        (ONE, [yes("ada"), no("ada")], False, 1),
        (ONE, [no("ada", ago=200), yes("grace")], False, 0),
        (NOBODY, [no("ada")], False, 0),
        # only those count whom the policy names, for yes and for no
        (NAMED, [yes("ada"), yes("joan")], False, 1),
        (NAMED, [yes("ada"), yes("Grace")], True, 0),
        # who may not speak now had a say when he refused: the list cannot be edited round him
        (NAMED, [yes("ada"), yes("grace"), no("joan")], False, 0),
        (NAMED, [yes("ada"), yes("grace"), no("joan"), yes("joan", ago=50)], True, 0),
    ],
)
def test_how_it_stands(policy: ApprovalPolicy, words: list[Consent], *, given: bool, missing: int) -> None:
    found = standing(VERDICT, words, policy, now=NOW)
    assert (found.given, found.missing) == (given, missing)


def test_what_was_said_of_another_verdict_or_bundle_does_not_count() -> None:
    old = Consent("c", "churn", 3, "d" * 64, "v0", "approve", "", "ada", "key", NOW)
    other = Consent("c", "churn", 3, "e" * 64, "v1", "approve", "", "ada", "key", NOW)
    assert standing(VERDICT, [old, other], ONE, now=NOW).missing == 1


EARLIER = Verdict("v0", "churn", 3, "d" * 64, "gate", passed=True, reasons=(), policy_digest="p0", evidence={}, at=NOW - 900)


def before(actor: str, decision: Decision, *, ago: float) -> Consent:
    """Return what somebody has said of the same bundle under an earlier verdict."""
    return Word(decision, "looked at it.", actor, "key", NOW - ago).on(EARLIER)


@pytest.mark.parametrize(
    ("words", "given", "refused"),
    [
        # a refusal is of the bundle, and outlives the verdict; a yes does not
        ([before("ada", "reject", ago=600)], False, ["ada"]),
        ([before("ada", "reject", ago=600), yes("grace")], False, ["ada"]),
        ([before("ada", "approve", ago=600)], False, []),
        # until the same person says yes, of whichever verdict
        ([before("ada", "reject", ago=600), yes("ada")], True, []),
        ([before("ada", "reject", ago=600), yes("ADA")], True, []),
        ([before("ada", "reject", ago=600), before("ada", "approve", ago=550), yes("grace")], True, []),
        # a later no, of whichever verdict, takes a yes back
        ([yes("ada", ago=100), before("ada", "reject", ago=50)], False, ["ada"]),
    ],
)
def test_a_refusal_follows_the_bundle(words: list[Consent], *, given: bool, refused: list[str]) -> None:
    found = standing(VERDICT, words, ONE, now=NOW)
    assert (found.given, [one.actor for one in found.refusals]) == (given, refused)


def test_the_refusals_of_a_bundle_are_those_that_hold() -> None:
    words = [no("ada", ago=300), no("grace", ago=200), yes("ada", ago=100), before("joan", "reject", ago=600)]
    assert [one.actor for one in refusals(words, VERDICT.digest)] == ["joan", "grace"]
    assert refusals(words, "e" * 64) == ()
    assert told(refusals(words, VERDICT.digest)[1:]) == f"grace has refused version 3 on {when(NOW - 200)}: looked at it."


@pytest.mark.parametrize(
    ("policy", "words", "sentence"),
    [
        (TWO, [yes("ada")], "Version 3 is approved by ada; the policy asks for 2 (approval.people), 1 missing."),
        (ONE, [], "Version 3 is approved by nobody yet; the policy asks for 1 (approval.people), 1 missing."),
        (TWO, [yes("ada"), yes("grace")], "approved by ada and grace; the policy asks for 2"),
        (ONE, [no("ada"), yes("joan")], "ada has refused version 3 on"),
    ],
)
def test_what_it_says(policy: ApprovalPolicy, words: list[Consent], sentence: str) -> None:
    assert sentence in standing(VERDICT, words, policy, now=NOW).sentence


AGREE = '`treadle approve churn --version 3 --reason "..."`'
THREE = ApprovalPolicy(people=2, of=("ada", "grace", "joan"), expire=1000)
ONE_OF = ApprovalPolicy(people=1, of=("ada", "grace"), expire=1000)


@pytest.mark.parametrize(
    ("policy", "words", "following"),
    [
        # anybody's turn
        (ONE, [], AGREE),
        (TWO, [], f"two people type {AGREE}"),
        # somebody else's turn
        (TWO, [yes("ada")], f"a second person types {AGREE}"),
        (TWO, [yes("ada"), yes("ADA", source="os")], f"a second person types {AGREE}"),
        (TWO, [yes("ada", ago=1001)], f"two people type {AGREE}"),
        # the turn of those whom the policy names and who have not agreed yet
        (ONE_OF, [], f"ada or grace types {AGREE}"),
        (NAMED, [], f"ada and grace type {AGREE}"),
        (NAMED, [yes("Ada")], f"grace types {AGREE}"),
        (NAMED, [yes("joan")], f"ada and grace type {AGREE}"),
        (THREE, [], f"2 of ada, grace, joan type {AGREE}"),
        (THREE, [yes("grace")], f"ada or joan types {AGREE}"),
        # nobody's
        (TWO, [yes("ada"), yes("grace")], "`treadle promote churn --version 3`"),
        # the turn of whoever has refused
        (ONE, [no("ada"), yes("joan")], f"ada types {AGREE}, or `treadle train churn` makes another version"),
        (ONE, [no("ada"), no("joan", ago=50)], f"ada and joan type {AGREE}, or `treadle train churn` makes another version"),
    ],
)
def test_what_comes_next_says_whose_turn_it_is(policy: ApprovalPolicy, words: list[Consent], following: str) -> None:
    assert standing(VERDICT, words, policy, now=NOW).next == following
