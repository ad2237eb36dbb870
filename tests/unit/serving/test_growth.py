"""Versions with different interfaces of one model: what a caller may send, before, during and after a canary."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import small_bundles
from tests.small_bundles import INTERFACE, ROW
from tests.small_service import Service
from treadle.errors import PredictionFailed, RequestInvalid
from treadle.spec import CategoryFeature, Interface, NumberFeature
from treadle.state.deployments import Slot

VISITS = NumberFeature(name="visits", type="integer", min=0, max=9, required=False)
TENURE, SPEND = INTERFACE.features
PLAN = CategoryFeature(name="plan", type="category", categories=("basic", "plus"))


def of(*features: Any, **other: Any) -> Interface:
    return INTERFACE.model_copy(update={"features": features, **other})


LONGER = TENURE.model_copy(update={"max": 200})
GROWN = of(SPEND, LONGER, VISITS)
MORE = {**ROW, "visits": 3}


def slot(service: Service, version: int, interface: Interface, role: Any = "champion", weight: float = 1.0) -> Slot:
    """Return a slot of a version whose graph counts a missing value as 0."""
    return service.slot(small_bundles.answering(features=len(interface.features), gaps=True), version, role, weight, interface)


def refused(service: Service, payload: object) -> dict[str, str]:
    with pytest.raises(RequestInvalid) as error:
        service.predict(payload)
    return {problem.field: problem.allowed for problem in error.value.fields}


def rows(service: Service, *versions: int) -> list[list[float]]:
    """Return the logged rows of these versions, oldest first."""
    return [np.frombuffer(one.row, "<f4").tolist() for one in service.predictions() if one.version in versions]


def half_and_half(service: Service, old: Interface = INTERFACE, new: Interface = GROWN) -> None:
    service.follow(slot(service, 1, old, weight=0.5), slot(service, 2, new, "canary", 0.5))


def answered(service: Service, payload: dict[str, Any], count: int = 40) -> list[dict[str, Any]]:
    """Ask with many entities, so that both versions get some."""
    return [service.predict({**payload, "customer": f"c{number}"}) for number in range(count)]


def test_before_the_canary_nobody_knows_the_new_column(service: Service) -> None:
    service.follow(slot(service, 1, INTERFACE))
    assert refused(service, MORE) == {"visits": "no such field: choose from customer, spend, tenure"}


@pytest.mark.parametrize("payload", [ROW, MORE])
def test_during_the_canary_both_versions_answer_with_and_without_it(service: Service, payload: dict[str, Any]) -> None:
    half_and_half(service)
    answers = answered(service, payload)
    assert {answer["version"] for answer in answers} == {1, 2}
    assert not any(answer["fallback"] for answer in answers)
    assert {tuple(row) for row in rows(service, 1)} == {(2.0, 30.5)}
    seen = rows(service, 2)
    np.testing.assert_array_equal(seen, [[30.5, 2.0, payload.get("visits", np.nan)]] * len(seen))


def test_in_a_batch_too(service: Service) -> None:
    half_and_half(service)
    answers = service.predict_batch([{**MORE, "customer": f"c{number}"} for number in range(40)])
    assert {(answer["version"], answer["fallback"]) for answer in answers} == {(1, False), (2, False)}


@pytest.mark.parametrize("value", [10, 2.5, "three", [3], {}])
def test_what_the_canary_would_not_take_is_refused_whoever_would_answer(service: Service, value: object) -> None:
    half_and_half(service)
    for number in range(10):
        problems = refused(service, {**ROW, "visits": value, "customer": f"c{number}"})
        assert problems == {"visits": "a whole number from 0 to 9, or null"}
    assert service.predictions() == []


def test_a_field_that_no_version_knows_stays_refused(service: Service) -> None:
    half_and_half(service)
    assert list(refused(service, {**MORE, "visit": 3})) == ["visit"]
    assert service.ask("POST", "/predict/churn", json={**MORE, "visit": 3}).status_code == 422


def test_until_the_promotion_the_champions_ranges_and_categories_decide(service: Service) -> None:
    old, new = (
        of(TENURE, PLAN),
        of(LONGER, PLAN.model_copy(update={"categories": ("pro", "basic", "plus")})),
    )
    half_and_half(service, old, new)
    for number in range(10):
        payload = {"tenure": 150, "plan": "pro", "customer": f"c{number}"}
        assert list(refused(service, payload)) == ["tenure", "plan"]
    service.follow(slot(service, 2, new), slot(service, 1, old, "fallback", 0.0))
    answer = service.predict({"tenure": 150, "plan": "pro"})
    assert (answer["version"], answer["fallback"]) == (2, False)
    assert rows(service, 2) == [[150.0, 0.0]]


def promoted(service: Service, *, fails: bool = False) -> None:
    """Give the grown version all traffic; one that ``fails`` does so on a tenure above 1."""
    frail = service.slot(small_bundles.failing(features=3), 2, interface=of(LONGER, SPEND, VISITS))
    service.follow(frail if fails else slot(service, 2, GROWN), slot(service, 1, INTERFACE, "fallback", 0.0))


def test_after_the_promotion_the_old_version_stands_in_without_the_new_column(service: Service) -> None:
    promoted(service, fails=True)
    answer = service.predict(MORE)
    assert (answer["version"], answer["fallback"]) == (1, True)
    assert rows(service, 1) == [[2.0, 30.5]]


def test_but_it_never_answers_what_its_own_interface_refuses(service: Service) -> None:
    promoted(service, fails=True)
    with pytest.raises(PredictionFailed, match=r"Version 1: .*tenure"):
        service.predict({**MORE, "tenure": 150})


def rolled_back(service: Service) -> None:
    service.follow(slot(service, 1, INTERFACE))
    promoted(service)
    service.follow(slot(service, 1, INTERFACE))


def test_after_a_rollback_callers_may_go_on_sending_the_new_column(service: Service) -> None:
    rolled_back(service)
    assert (service.predict(MORE)["version"], rows(service, 1)) == (1, [[2.0, 30.5]])
    assert service.predict({**ROW, "visits": "anything"})["version"] == 1
    assert list(refused(service, {**MORE, "visit": 3})) == ["visit"]
    assert list(refused(service, {**MORE, "tenure": 150})) == ["tenure"]


def test_a_worker_that_starts_after_the_rollback_knows_it_too(service: Service) -> None:
    rolled_back(service)
    service.restart()
    assert service.predict(MORE)["version"] == 1


def test_a_field_is_forgotten_with_the_bundle_that_knew_it(service: Service, tmp_path: Path) -> None:
    rolled_back(service)
    for folder in service.bundles.iterdir():
        if "visits" in (folder / "interface.json").read_text():
            folder.rename(tmp_path / folder.name)
    service.restart()
    assert list(refused(service, MORE)) == ["visits"]
    assert service.predict(ROW)["version"] == 1


def test_an_aborted_canary_leaves_callers_as_they_are(service: Service) -> None:
    half_and_half(service)
    assert len(answered(service, MORE, 5)) == 5
    service.follow(slot(service, 1, INTERFACE))
    assert service.predict(MORE)["version"] == 1


def test_an_entity_that_only_the_canary_knows_is_logged_and_routes(service: Service) -> None:
    half_and_half(service, of(TENURE, SPEND, entity=None), INTERFACE)
    answers: Sequence[dict[str, Any]] = [service.predict({**ROW, "customer": "c1"}, request_id=f"r{number}") for number in range(10)]
    assert len({answer["version"] for answer in answers}) == 1
    assert {record.entity for record in service.predictions()} == {"c1"}
    assert list(refused(service, {**ROW, "customer": 7})) == ["customer"]
