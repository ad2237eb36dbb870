"""Several models in one transaction, and A/B tests: all of it or none, and never past the gate."""

import itertools

import pytest

from tests.integration.registry.conftest import SPECIES, Shelf, graph
from treadle.errors import ArmsInvalid, GenerationConflict, NoABTest, NoneSwitched, NotDeployed, NotPermitted, RolesTaken, VersionNotFound
from treadle.projects import Project
from treadle.registry import promotion, roles
from treadle.registry.roles import Asked, Change
from treadle.settings import Workspace
from treadle.state import consents, deployments, events, verdicts
from treadle.state.consents import Word
from treadle.state.deployments import Deployment, Slot
from treadle.state.store import Store
from treadle.state.verdicts import Verdict

pytestmark = pytest.mark.integration

BY_ADA = Change("ada", 5.0, "A try.")


class Desk:
    """A model with a champion and a version that the gate lets pass beside it."""

    def __init__(self, workspace: Workspace, store: Store, project: Project, shelf: Shelf) -> None:
        self.workspace, self.store, self.project, self.shelf = workspace, store, project, shelf
        self.times = itertools.count(2.0, 0.01)
        shelf.snapshot()
        self.register()
        promotion.promote(workspace, store, project, 1, self.gate(1), at=1.0)

    def register(self, code: str = "c", content: bytes | None = None) -> int:
        number = self.shelf.register(content, code_digest=code * 64)
        with self.store.write() as conn:
            events.append(conn, "version.registered", at=0.5, model="iris", data={"version": number})
        return number

    def gate(self, version: int) -> Verdict:
        return promotion.gate_version(self.workspace, self.store, self.project, version, at=next(self.times))

    def ready(self, code: str = "e") -> int:
        version = self.register(code)
        assert self.gate(version).passed
        return version

    def start(self, arms: dict[int, float], *, expected: int | None = None) -> Deployment:
        return roles.start_test(self.workspace, self.store, self.project, arms, BY_ADA, expected=expected)

    def history(self, model: str = "iris") -> list[Deployment]:
        with self.store.read() as conn:
            return deployments.history(conn, model)

    def other(self, digest: str) -> None:
        """Deploy another model, whose bundle is nobody's, with one generation before it."""
        with self.store.write() as conn:
            for expected in (0, 1):
                slot = Slot("champion", expected + 1, digest, 1.0)
                deployments.insert(conn, "other", expected=expected, slots=[slot], reason="a test", at=1.0)


@pytest.fixture
def desk(workspace: Workspace, store: Store, project: Project, shelf: Shelf) -> Desk:
    return Desk(workspace, store, project, shelf)


def told(deployment: Deployment) -> list[tuple[str, int, float]]:
    return [(slot.role, slot.version, round(slot.weight, 9)) for slot in deployment.slots]


def test_each_arm_has_its_verdict_and_the_champion_keeps_the_rest(desk: Desk) -> None:
    second, third = desk.ready(), desk.ready("f")
    started = desk.start({second: 0.2, third: 0.1})
    assert told(started) == [("champion", 1, 0.7), ("arm", 2, 0.2), ("arm", 3, 0.1)]
    first, last = desk.history()[-2:]
    assert told(first) == [("champion", 1, 0.8), ("arm", 2, 0.2)]
    with desk.store.read() as conn:
        permits = [verdicts.get(conn, str(item.verdict)) for item in (first, last)]
    assert [permit.version for permit in permits if permit] == [second, third]
    assert (last.actor, last.at, last.reason) == (
        "ada",
        5.0,
        "Version 3 passed the gate and answers 0.1 of the traffic as arm of an A/B test. A try.",
    )
    assert deployments.ab_since(desk.history()) == 5.0


@pytest.mark.parametrize(
    ("arms", "reason"),
    [
        ({}, "no arm"),
        ({2: 0.0}, "between 0 and 1"),
        ({2: float("nan")}, "between 0 and 1"),
        ({2: 0.5, 3: 0.5}, "the champion nothing"),
    ],
)
def test_shares_that_are_none_are_refused(desk: Desk, arms: dict[int, float], reason: str) -> None:
    with pytest.raises(ArmsInvalid, match=reason):
        desk.start(arms)


def test_nothing_gets_past_the_gate(desk: Desk) -> None:
    """Neither what nobody has judged, nor what the gate refuses, nor the champion, nor what was judged beside another champion."""
    before = len(desk.history())
    unjudged = desk.register("1")
    refused = desk.register("2", graph(SPECIES * 0))
    assert not desk.gate(refused).passed
    passed = desk.ready("3")
    for arms, reason in (
        ({unjudged: 0.1}, "the gate has not judged it"),
        ({passed: 0.1, refused: 0.1}, "the gate refused it"),
        ({1: 0.1}, "is the champion already"),
    ):
        with pytest.raises(NotPermitted, match=reason):
            desk.start(arms)
    with pytest.raises(NoneSwitched, match="the gate refused it") as raised:
        roles.switch(desk.workspace, desk.store, [Asked(desk.project, refused), Asked(desk.project, passed)], BY_ADA)
    assert raised.value.exit_code == 3
    with pytest.raises(VersionNotFound):
        desk.start({99: 0.1})
    assert len(desk.history()) == before
    roles.switch(desk.workspace, desk.store, [Asked(desk.project, desk.ready("4"))], BY_ADA)
    with pytest.raises(NotPermitted, match="the champion has changed since the verdict"):
        desk.start({passed: 0.1})


def test_one_comparison_runs_at_a_time(desk: Desk) -> None:
    second, third = desk.ready(), desk.ready("f")
    desk.start({second: 0.2})
    with pytest.raises(RolesTaken, match="iris has an A/B test of version 2"):
        desk.start({third: 0.2})
    with pytest.raises(RolesTaken, match="iris has an A/B test"):
        promotion.start_canary(desk.workspace, desk.store, desk.project, third, desk.gate(third), at=6.0)
    roles.stop_test(desk.store, "iris", BY_ADA)
    promotion.start_canary(desk.workspace, desk.store, desk.project, third, desk.gate(third), at=6.0)
    with pytest.raises(RolesTaken, match="iris has version 3 as canary"):
        desk.start({second: 0.2})


def test_a_test_needs_a_champion(workspace: Workspace, store: Store, project: Project, shelf: Shelf) -> None:
    shelf.register()
    promotion.gate_version(workspace, store, project, 1, at=1.0)
    with store.write() as conn:
        events.append(conn, "version.registered", at=0.5, model="iris", data={"version": 1})
    with pytest.raises(NotDeployed):
        roles.start_test(workspace, store, project, {1: 0.5}, BY_ADA)


def test_who_was_second_is_told(desk: Desk) -> None:
    second = desk.ready()
    with pytest.raises(GenerationConflict, match="at generation 1, not 7"):
        desk.start({second: 0.2}, expected=7)
    desk.start({second: 0.2}, expected=1)
    with pytest.raises(GenerationConflict):
        roles.stop_test(desk.store, "iris", BY_ADA, expected=1)


def test_a_test_ends_as_it_is_told(desk: Desk) -> None:
    second, third = desk.ready(), desk.ready("f")
    desk.start({second: 0.2, third: 0.1})
    with pytest.raises(NoABTest, match="iris version 9 is no arm"):
        roles.stop_test(desk.store, "iris", BY_ADA, version=9)
    left = roles.stop_test(desk.store, "iris", Change("ada", 8.0, "Slow."), version=second)
    assert (told(left), left.reason) == ([("champion", 1, 0.9), ("arm", 3, 0.1)], "Version 2 was taken out of the A/B test: Slow.")
    assert deployments.ab_since(desk.history()) == 8.0
    chosen = roles.choose_arm(desk.workspace, desk.store, desk.project, third, Change("ada", 9.0, "Better."))
    assert told(chosen) == [("champion", 3, 1.0), ("fallback", 1, 0.0)]
    assert chosen.reason == "Version 3 passed the gate and takes all traffic. The A/B test ends. Better."
    assert deployments.ab_since(desk.history()) is None
    with pytest.raises(NoABTest, match="No A/B test of iris runs"):
        roles.stop_test(desk.store, "iris", BY_ADA)
    with pytest.raises((NoABTest, NotPermitted)):
        roles.choose_arm(desk.workspace, desk.store, desk.project, second, BY_ADA)
    back = roles.roll_back(desk.workspace, desk.store, {"iris": None}, Change("ada", 10.0, "Worse after all."))
    assert told(back[0]) == [("champion", 1, 1.0)]


def test_a_rollback_brings_no_test_back(desk: Desk) -> None:
    second, third = desk.ready(), desk.ready("f")
    desk.start({second: 0.2})
    roles.switch(desk.workspace, desk.store, [Asked(desk.project, third)], BY_ADA)
    (back,) = roles.roll_back(desk.workspace, desk.store, {"iris": None}, BY_ADA)
    assert told(back) == [("champion", 1, 1.0)]


def test_what_a_person_refuses_is_found_among_the_arms(desk: Desk) -> None:
    second = desk.ready()
    desk.start({second: 0.2})
    with desk.store.write() as conn:
        assert roles.refused_arms(conn, desk.project, 6.0) == []
        verdict = verdicts.latest(conn, "iris", second, "gate")
        assert verdict is not None
        consents.give(conn, Word("reject", "Unfair.", "eve", "key", 6.0).on(verdict))
        ((arm, sentence),) = roles.refused_arms(conn, desk.project, 6.0)
    assert arm.version == second
    assert "eve has refused version 2" in sentence
    assert "Unfair." in sentence


def test_several_models_are_switched_or_none(desk: Desk) -> None:
    second = desk.ready()
    desk.other("b" * 64)
    stale = Asked(desk.project, second, expected=9)
    fine = Asked(desk.project, second)
    before = {model: len(desk.history(model)) for model in ("iris", "other")}
    with pytest.raises(NoneSwitched, match=r"None of iris, iris was switched\. The deployment of iris is at generation 1, not 9") as raised:
        roles.switch(desk.workspace, desk.store, [stale, fine], BY_ADA)
    assert isinstance(raised.value.cause, GenerationConflict)
    with pytest.raises(NoneSwitched, match="it is the champion already"):
        roles.switch(desk.workspace, desk.store, [fine, fine], BY_ADA)  # the first of them is taken back
    with pytest.raises(NoneSwitched, match="None of other, iris was switched"):
        roles.roll_back(desk.workspace, desk.store, {"other": None, "iris": None}, BY_ADA)
    assert {model: len(desk.history(model)) for model in before} == before
    (done,) = roles.switch(desk.workspace, desk.store, [fine], BY_ADA)
    assert told(done) == [("champion", 2, 1.0), ("fallback", 1, 0.0)]
