from collections.abc import Callable

import pytest

from tests.integration.registry.conftest import Shelf
from treadle.errors import TrackingUnavailable
from treadle.registry.aliases import ARCHIVED_TAG, Override, reconcile
from treadle.registry.tracking import Tracking
from treadle.state import deployments, events
from treadle.state.deployments import Slot
from treadle.state.store import Store

pytestmark = pytest.mark.integration

Deploy = Callable[..., None]


@pytest.fixture
def deploy(store: Store, shelf: Shelf) -> Deploy:
    """Return a function that inserts a generation: champion, and canary if there is one. Four versions are there to choose from."""
    for number in range(4):
        shelf.register(seed=number)

    def insert(champion: int, canary: int | None = None, model: str = "iris") -> None:
        slots = [Slot("champion", champion, f"d{champion}", 0.9 if canary else 1.0)]
        slots += [Slot("canary", canary, f"d{canary}", 0.1)] if canary else []
        with store.write() as conn:
            generation = deployments.generations(conn).get(model, 0)
            deployments.insert(conn, model, expected=generation, slots=slots, reason="because", at=1.0)

    return insert


def aliases(tracking: Tracking) -> dict[str, int]:
    return tracking.aliases("iris")[0]


def archived(tracking: Tracking) -> list[int]:
    with tracking.client() as client:
        return sorted(int(item.version) for item in client.search_model_versions("name = 'iris'") if ARCHIVED_TAG in item.tags)


def told(store: Store) -> list[dict[str, object]]:
    with store.read() as conn:
        return [event.data for event in events.after(conn, 0) if event.kind == "alias.overridden"]


def test_the_aliases_follow_the_deployments(tracking: Tracking, store: Store, deploy: Deploy) -> None:
    assert reconcile(tracking, store, at=1.0) == []
    deploy(1)
    assert reconcile(tracking, store, at=1.0) == []
    assert aliases(tracking) == {"champion": 1}
    deploy(1, canary=2)
    deploy(2)
    deploy(2, canary=3)
    assert reconcile(tracking, store, at=2.0) == []
    assert aliases(tracking) == {"champion": 2, "challenger": 3}
    assert archived(tracking) == [1]
    deploy(1)
    assert reconcile(tracking, store, at=3.0) == []
    assert aliases(tracking) == {"champion": 1}
    assert archived(tracking) == [2, 3]
    assert told(store) == []


def test_an_alias_moved_by_hand_is_put_back_and_told_once(tracking: Tracking, store: Store, deploy: Deploy) -> None:
    deploy(2)
    reconcile(tracking, store, at=1.0)
    with tracking.client() as client:
        client.set_registered_model_alias("iris", "champion", "4")
        client.set_registered_model_alias("iris", "challenger", "3")
        client.set_registered_model_alias("iris", "mine", "1")
    moved = reconcile(tracking, store, at=2.0)
    assert moved == [Override("iris", "champion", 4, 2), Override("iris", "challenger", 3, None)]
    assert aliases(tracking) == {"champion": 2, "mine": 1}
    assert told(store) == [
        {"model": "iris", "alias": "champion", "found": 4, "restored": 2},
        {"model": "iris", "alias": "challenger", "found": 3, "restored": None},
    ]
    assert reconcile(tracking, store, at=3.0) == []
    assert len(told(store)) == 2


def test_an_alias_that_somebody_removed_is_put_back_too(tracking: Tracking, store: Store, deploy: Deploy) -> None:
    deploy(2)
    reconcile(tracking, store, at=1.0)
    with tracking.client() as client:
        client.delete_registered_model_alias("iris", "champion")
    assert reconcile(tracking, store, at=2.0) == [Override("iris", "champion", None, 2)]
    assert aliases(tracking) == {"champion": 2}


def test_a_projection_that_was_killed_half_way_is_no_offence(tracking: Tracking, store: Store, deploy: Deploy) -> None:
    deploy(1)
    reconcile(tracking, store, at=1.0)
    deploy(2)
    with tracking.client() as client:
        client.set_registered_model_alias("iris", "champion", "2")  # killed before the generation was noted
    deploy(3)
    assert reconcile(tracking, store, at=2.0) == []
    assert aliases(tracking) == {"champion": 3}


def test_a_model_that_mlflow_has_lost_does_not_stop_the_others(tracking: Tracking, store: Store, deploy: Deploy) -> None:
    deploy(1, model="churn")
    deploy(2)
    with pytest.raises(TrackingUnavailable, match="churn"):
        reconcile(tracking, store, at=1.0)
    assert aliases(tracking) == {"champion": 2}
