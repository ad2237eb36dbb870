"""Deployments: generations that only grow, weights that add up, rollbacks that repeat what was."""

import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from treadle.errors import GenerationConflict, NotDeployed, NothingToRollBack, SlotsInvalid
from treadle.state import deployments, events
from treadle.state.deployments import Deployment, Slot, promoted, with_canary, without_canary
from treadle.state.store import Store

models = map("model{}".format, itertools.count())
V1, V2, V3 = (Slot("champion", number, f"digest{number}", 1.0) for number in (1, 2, 3))


def deploy(store: Store, *champions: Slot, model: str = "churn") -> Deployment:
    """Promote ``champions`` one after the other."""
    for number, slot in enumerate(champions):
        with store.write() as conn:
            slots = promoted(deployments.current(conn, model), slot)
            made = deployments.insert(
                conn, model, expected=number, slots=slots, reason=f"Try {slot.version}.", at=number + 1, verdict=f"v{slot.version}"
            )
    return made


def test_a_deployment_is_read_as_it_was_inserted(store: Store) -> None:
    with store.write() as conn:
        made = deployments.insert(conn, "churn", expected=0, slots=[V1], reason="First.", at=7.5, verdict="v", actor="me")
    with store.read() as conn:
        assert deployments.current(conn, "churn") == made == deployments.require(conn, "churn")
        assert made == Deployment("churn", 1, (V1,), "First.", "v", "me", 7.5)
        told = events.after(conn, 0)
    assert [(event.kind, event.model, event.actor, event.at, event.data["generation"]) for event in told] == [
        ("deployment.changed", "churn", "me", 7.5, 1)
    ]


def test_a_model_that_was_never_deployed(store: Store) -> None:
    with store.read() as conn:
        assert deployments.current(conn, "churn") is None
        assert deployments.current_all(conn) == {}
        assert deployments.generations(conn) == {}
        assert deployments.history(conn, "churn") == []
        assert deployments.champion_since(conn, "churn") == -math.inf
        with pytest.raises(NotDeployed, match="churn"):
            deployments.require(conn, "churn")


def test_several_models_stand_side_by_side(store: Store) -> None:
    deploy(store, V1, V2)
    deploy(store, V3, model="iris")
    with store.read() as conn:
        assert deployments.generations(conn) == {"churn": 2, "iris": 1}
        champions = {model: one.champion for model, one in deployments.current_all(conn).items()}
        assert champions == {"churn": V2, "iris": V3}


@pytest.mark.parametrize("expected", [0, 1, 3])
def test_whoever_is_second_has_lost(store: Store, expected: int) -> None:
    deploy(store, V1, V2)
    with pytest.raises(GenerationConflict) as caught, store.write() as conn:
        deployments.insert(conn, "churn", expected=expected, slots=[V3], reason="Late.", at=9.0)
    assert caught.value.actual == 2
    with store.read() as conn:
        assert deployments.generations(conn) == {"churn": 2}
        assert events.verify(conn) == 2


def test_switching_several_models_is_one_transaction(store: Store) -> None:
    deploy(store, V1, model="iris")

    def switch(conn: Connection) -> None:
        for model in ("churn", "iris"):
            deployments.insert(conn, model, expected=0, slots=[V1], reason="Both.", at=1.0)

    with pytest.raises(GenerationConflict), store.write() as conn:
        switch(conn)
    with store.read() as conn:
        assert deployments.generations(conn) == {"iris": 1}


def test_the_champion_keeps_its_time_through_a_canary(store: Store) -> None:
    first = deploy(store, V1)
    with store.write() as conn:
        tried = deployments.insert(conn, "churn", expected=1, slots=with_canary(first, 2, "digest2", 0.1), reason="Try.", at=5.0)
        deployments.insert(conn, "churn", expected=2, slots=without_canary(tried), reason="No.", at=6.0)
    with store.read() as conn:
        assert deployments.champion_since(conn, "churn") == first.at


def test_promotion_keeps_the_old_champion_as_the_fallback() -> None:
    first = Deployment("churn", 1, promoted(None, V1), "", None, "me", 0.0)
    assert (first.champion, first.canary, first.fallback) == (V1, None, None)
    tried = Deployment("churn", 2, with_canary(first, 2, "digest2", 0.1), "", None, "me", 0.0)
    assert tried.slots == (Slot("champion", 1, "digest1", 0.9), Slot("canary", 2, "digest2", 0.1))
    assert tried.canary is not None
    won = Deployment("churn", 3, promoted(tried, tried.canary), "", None, "me", 0.0)
    assert won.slots == (V2, Slot("fallback", 1, "digest1", 0.0))
    assert without_canary(tried) == (V1,)
    assert promoted(won, V2) == won.slots  # once more changes nothing


def test_a_rollback_goes_to_the_last_other_champion_without_a_share_for_the_bad_one(store: Store) -> None:
    first = deploy(store, V1)
    with store.write() as conn:
        tried = deployments.insert(conn, "churn", expected=1, slots=with_canary(first, 2, "digest2", 0.1), reason="Try.", at=2.0)
        deployments.insert(conn, "churn", expected=2, slots=promoted(tried, V2), reason="Won.", at=3.0, verdict="v2")
        back = deployments.rollback(conn, "churn", expected=3, reason="It was bad.", at=4.0, actor="me")
    assert back == Deployment("churn", 4, first.slots, "Back to generation 1: It was bad.", "v1", "me", 4.0)


def test_a_rollback_to_a_named_generation(store: Store) -> None:
    deploy(store, V1, V2, V3)
    with store.write() as conn:
        back = deployments.rollback(conn, "churn", expected=3, reason="Older.", at=4.0, to=1)
    assert back.slots == (V1,)


@pytest.mark.parametrize(("champions", "to"), [((), None), ((V1,), None), ((V1,), 1), ((V1, V1), None), ((V1, V2), 7)])
def test_there_may_be_nothing_to_go_back_to(store: Store, champions: tuple[Slot, ...], to: int | None) -> None:
    if champions:
        deploy(store, *champions)
    with pytest.raises(NothingToRollBack, match="churn"), store.write() as conn:
        deployments.rollback(conn, "churn", expected=len(champions), reason="Bad.", at=4.0, to=to)


@pytest.mark.parametrize(
    ("slots", "told"),
    [
        ((), "0 champions"),
        ((V1, V2), "2 champions"),
        ((Slot("champion", 1, "a", 0.5),), "add up to 0.5"),
        ((Slot("champion", 1, "a", 1.5), Slot("canary", 2, "b", -0.5)), "outside"),
        ((Slot("champion", 1, "a", 0.5), Slot("canary", 2, "b", 0.25), Slot("canary", 3, "c", 0.25)), "more than one canary"),
        ((Slot("champion", 1, "a", 0.5), Slot("fallback", 2, "b", 0.5)), "fallback has a weight"),
        ((Slot("champion", 1, "a", float("nan")),), "outside"),
    ],
)
def test_slots_that_make_no_sense_are_refused(store: Store, slots: tuple[Slot, ...], told: str) -> None:
    with pytest.raises(SlotsInvalid, match=told), store.write() as conn:
        deployments.insert(conn, "churn", expected=0, slots=slots, reason="Odd.", at=1.0)


numbers = st.integers(1, 4)
weights = st.floats(0.01, 0.99)


def promotions() -> st.SearchStrategy[Callable[[Deployment], deployments.Slots]]:
    """Strategies for what may become of a deployment."""
    return st.one_of(
        numbers.map(lambda number: lambda now: promoted(now, Slot("champion", number, f"digest{number}", 1.0))),
        st.tuples(numbers, weights).map(lambda pair: lambda now: with_canary(now, pair[0], f"digest{pair[0]}", pair[1])),
        st.just(without_canary),
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(promotions(), max_size=8), st.data())
def test_any_run_of_changes_only_grows_the_record(
    store: Store, changes: list[Callable[[Deployment], deployments.Slots]], data: st.DataObject
) -> None:
    model = next(models)
    made = [deploy(store, V1, model=model)]
    for change in changes:
        with store.write() as conn:
            made.append(deployments.insert(conn, model, expected=len(made), slots=change(made[-1]), reason="Next.", at=float(len(made))))
    with store.read() as conn:
        assert deployments.history(conn, model) == made
        assert deployments.generations(conn)[model] == len(made)
    for one in made:
        assert sum(slot.weight for slot in one.slots) == pytest.approx(1.0)
        assert one.champion is not None
        assert one.fallback is None or one.fallback.digest != one.champion.digest
    wrong = data.draw(st.integers(0, 12).filter(lambda number: number != len(made)))
    with pytest.raises(GenerationConflict), store.write() as conn:
        deployments.insert(conn, model, expected=wrong, slots=[V1], reason="Late.", at=0.0)
    to = data.draw(st.integers(1, len(made)))
    if to < len(made):
        with store.write() as conn:
            back = deployments.rollback(conn, model, expected=len(made), reason="Back.", at=0.0, to=to)
        assert (back.generation, back.slots) == (len(made) + 1, without_canary(made[to - 1]))


def test_a_rollback_never_brings_a_canary_back(store: Store) -> None:
    first = deploy(store, V1)
    with store.write() as conn:
        tried = deployments.insert(conn, "churn", expected=1, slots=with_canary(first, 2, "digest2", 0.1), reason="Try.", at=2.0)
        deployments.insert(conn, "churn", expected=2, slots=without_canary(tried), reason="Aborted.", at=3.0)
        back = deployments.rollback(conn, "churn", expected=3, reason="By mistake.", at=4.0, to=2)
    assert back.canary is None
    assert back.slots == first.slots
