"""Consent at the only doors to a role: by hand through the loop's promote, and in promotion itself."""

import pytest

from tests.integration.registry.conftest import Shelf
from treadle.errors import AlreadyChampion, ConsentMissing, NotPermitted, RollbackRefused
from treadle.loop import Loop
from treadle.monitoring.canary import CanaryDecision
from treadle.projects import Project
from treadle.registry import promotion
from treadle.registry.explanation import explain
from treadle.settings import Workspace
from treadle.spec import ApprovalPolicy
from treadle.state import consents, deployments, verdicts
from treadle.state.consents import Decision, Word
from treadle.state.store import Store

pytestmark = pytest.mark.integration

NOW = 1_000_000.0


class Hand:
    """A person's hand on a workspace whose policy asks for people."""

    def __init__(self, workspace: Workspace, store: Store, project: Project) -> None:
        self.workspace, self.store, self.project, self.now = workspace, store, project, NOW
        self.loop = Loop(workspace, store, clock=self.clock)

    def clock(self) -> float:
        self.now += 1
        return self.now

    def asks(self, people: int, *of: str) -> None:
        policy = self.project.contract.policy.model_copy(update={"approval": ApprovalPolicy(people=people, of=of, expire=1000)})
        contract = self.project.contract.model_copy(update={"policy": policy})
        self.project = Project(self.project.folder, contract)

    def say(self, decision: Decision, who: str, version: int = 1) -> None:
        with self.store.write() as conn:
            verdict = verdicts.latest(conn, "iris", version, "gate")
            assert verdict is not None
            consents.give(conn, Word(decision, f"says {who}", who, "key", self.clock()).on(verdict))

    def promote(self, version: int | None = None) -> int:
        deployed = self.loop.promote(self.project, version, actor="me")[1]
        assert deployed is not None
        assert deployed.actor == "me"
        return deployed.generation

    def judged(self) -> int:
        with self.store.read() as conn:
            return conn.exec_driver_sql("SELECT count(*) FROM verdicts").scalar_one()


@pytest.fixture
def hand(workspace: Workspace, store: Store, project: Project) -> Hand:
    return Hand(workspace, store, project)


def test_two_people_agree_to_the_verdict_that_was_given_and_the_promotion_goes_on(hand: Hand, shelf: Shelf) -> None:
    shelf.register()
    hand.asks(2)
    with pytest.raises(ConsentMissing, match=r"approved by nobody yet.*2 missing") as caught:
        hand.promote()
    assert caught.value.exit_code == 4
    hand.say("approve", "ada")
    with pytest.raises(ConsentMissing, match=r"approved by ada; .* 1 missing") as caught:
        hand.promote()
    assert '`treadle approve iris --version 1 --reason "..."`' in caught.value.fix
    hand.say("approve", "grace")
    assert hand.promote() == 1
    assert hand.judged() == 1  # what they agreed to was not judged again
    said = "\n".join(explain(hand.store, "iris"))
    assert "ada approved version 1: says ada" in said
    assert "generation 1, by me" in said


def test_a_refusal_blocks_the_bundle_until_the_same_person_approves_it(hand: Hand, shelf: Shelf) -> None:
    shelf.register()
    hand.loop.gate(hand.project, 1)
    hand.say("reject", "ada")
    with pytest.raises(ConsentMissing, match="ada has refused version 1") as caught:
        hand.promote()
    assert caught.value.exit_code == 3
    assert "`treadle approve iris --version 1" in caught.value.fix
    hand.loop.gate(hand.project, 1)  # neither a new verdict
    with pytest.raises(ConsentMissing, match="ada has refused version 1"):
        hand.promote()
    hand.asks(1, "grace")  # nor another policy, of which ada is no part, nor somebody else's word lifts it
    hand.loop.gate(hand.project, 1)
    hand.say("approve", "grace")
    with pytest.raises(ConsentMissing, match="ada has refused version 1"):
        hand.promote()
    hand.say("approve", "ada")
    assert hand.promote() == 1


def test_a_canary_whose_bundle_was_refused_under_a_later_verdict_does_not_become_champion(hand: Hand, shelf: Shelf) -> None:
    shelf.register()
    hand.promote()
    second = shelf.register(code_digest="e" * 64)
    started = hand.loop.gate(hand.project, second)
    promotion.start_canary(hand.workspace, hand.store, hand.project, second, started, at=hand.clock())
    hand.loop.gate(hand.project, second)
    hand.say("reject", "ada", second)  # of the verdict that came after the start
    passed = CanaryDecision("pass", None, ("It did well.",), 1)
    with pytest.raises(ConsentMissing, match="ada has refused version 2"):
        promotion.promote_canary(hand.workspace, hand.store, hand.project, started, passed, at=hand.clock())


def test_a_rollback_does_not_bring_back_what_a_person_has_refused_since(hand: Hand, shelf: Shelf) -> None:
    shelf.register()
    hand.promote()
    second = shelf.register(code_digest="e" * 64)
    hand.promote(second)
    hand.say("reject", "ada", 1)
    for to in (None, 1):
        with pytest.raises(RollbackRefused, match="ada has refused version 1") as caught:
            hand.loop.rollback(hand.project, reason="worse", actor="me", to=to)
        assert caught.value.exit_code == 3
        assert "`treadle approve iris --version 1" in caught.value.fix
    with hand.store.read() as conn:
        assert [item.generation for item in deployments.history(conn, "iris")] == [1, 2]
    hand.say("approve", "ada", 1)
    champion = hand.loop.rollback(hand.project, reason="worse", actor="me").champion
    assert champion is not None
    assert champion.version == 1


def test_a_consent_grows_old_and_is_about_one_policy(hand: Hand, shelf: Shelf) -> None:
    shelf.register()
    hand.asks(1)
    hand.loop.gate(hand.project, 1)
    hand.say("approve", "ada")
    hand.now += 1000
    with pytest.raises(ConsentMissing, match="approved by nobody yet"):
        hand.promote()
    hand.say("approve", "ada")
    hand.asks(1, "ada", "grace")
    with pytest.raises(ConsentMissing, match="approved by nobody yet"):
        hand.promote()  # the policy has changed: judged anew, and asked anew
    hand.say("approve", "joan")
    with pytest.raises(ConsentMissing, match="approved by nobody yet"):
        hand.promote()  # joan has no say
    hand.say("approve", "grace")
    assert hand.promote() == 1


def test_a_canary_needs_consent_to_start(hand: Hand, shelf: Shelf) -> None:
    shelf.register()
    hand.promote()
    second = shelf.register(code_digest="e" * 64)
    hand.asks(1)
    verdict = hand.loop.gate(hand.project, second)
    assert verdict.passed, verdict.reasons
    how = (hand.workspace, hand.store, hand.project, second, verdict)
    with pytest.raises(ConsentMissing):
        promotion.start_canary(*how, at=hand.clock())
    hand.say("approve", "ada", second)
    assert promotion.start_canary(*how, at=hand.clock()).canary is not None


def test_an_older_verdict_that_passed_does_not_outlive_a_later_one(hand: Hand, shelf: Shelf) -> None:
    shelf.register()
    first = hand.loop.gate(hand.project, 1)
    hand.loop.gate(hand.project, 1)
    with pytest.raises(NotPermitted, match="has judged it anew since"):
        promotion.promote(hand.workspace, hand.store, hand.project, 1, first, at=hand.clock())


def test_the_present_champion_is_not_promoted_again(hand: Hand, shelf: Shelf) -> None:
    shelf.register()
    hand.promote()
    for version in (None, 1):
        with pytest.raises(AlreadyChampion, match="iris version 1 is the champion already") as caught:
            hand.promote(version)
    assert caught.value.exit_code == 1
    assert hand.judged() == 1
