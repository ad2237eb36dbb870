"""The short way of one row answers, logs, counts and refuses as the long one does, and leaves to it what it cannot do."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import small_bundles
from tests.small_bundles import ROW
from tests.small_service import Service
from treadle.errors import RequestInvalid
from treadle.serving import loaded, quick
from treadle.serving.inference import Inference
from treadle.serving.records import PredictionRecord
from treadle.serving.spool import SpoolWriter

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 101), st.floats(-1, 1001), st.sampled_from([1e300, float("nan")]), st.text(max_size=3)
)
PAYLOADS = st.one_of(
    st.fixed_dictionaries(
        {"tenure": VALUES, "spend": VALUES}, optional={"customer": st.one_of(st.none(), st.text(max_size=5)), "more": VALUES}
    ),
    st.lists(st.integers(), max_size=2),
)


def shortly(service: Service, payload: object, request_id: str | None = None, model: str = "churn") -> dict[str, Any] | None:
    told = service.inference.routes.quick[model](payload, request_id)
    return None if told is None else msgspec.json.decode(told)


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except RequestInvalid as error:
        return error


def unlike_others(record: PredictionRecord) -> PredictionRecord:
    """Return a record without what is another in each call."""
    answer = json.loads(record.answer)
    del answer["prediction_id"]
    return msgspec.structs.replace(record, prediction_id="", seconds=0.0, answer=json.dumps(answer))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(payload=PAYLOADS, request_id=st.sampled_from([None, "r-1"]))
def test_it_answers_and_refuses_as_the_long_way(service: Service, payload: object, request_id: str | None) -> None:
    if not service.inference.routes.tables:
        service.follow(service.slot(small_bundles.answering(), 3))
    before = len(service.predictions())

    outcomes = [outcome(partial(way, service, payload, request_id=request_id)) for way in (Service.predict, shortly)]

    logged = service.predictions()[before:]
    if isinstance(outcomes[0], RequestInvalid):
        assert isinstance(outcomes[1], RequestInvalid)
        assert outcomes[0].fields == outcomes[1].fields
        assert logged == []
    else:
        assert [record.prediction_id for record in logged] == [found["prediction_id"] for found in outcomes]
        assert [json.loads(record.answer) for record in logged] == outcomes
        assert unlike_others(logged[0]) == unlike_others(logged[1])


def test_it_counts_as_the_long_way(service: Service) -> None:
    service.follow(service.slot(small_bundles.answering(), 3))
    names = {
        "ml_predictions_total": {"model_name": "churn", "model_version": "3"},
        "ml_prediction_confidence_count": {"model_name": "churn"},
        "ml_prediction_confidence_sum": {"model_name": "churn"},
        "ml_prediction_duration_seconds_count": {"model_name": "churn"},
    }

    def counts() -> list[float]:
        return [service.metric(name, **labels) or 0.0 for name, labels in names.items()]

    answer = service.predict()
    once = counts()
    shortly(service, ROW)

    assert once == [1, 1, answer["confidence"], 1]
    assert counts() == [2 * count for count in once]
    within = [service.metric("ml_prediction_confidence_bucket", model_name="churn", le=le) for le in ("0.5", "0.7", "+Inf")]
    assert within == [0, 2, 2]


def test_a_regression_has_no_confidence(service: Service) -> None:
    service.follow(service.slot(small_bundles.valuing(), 1, interface=small_bundles.VALUE))

    answer = shortly(service, {"rooms": 2})

    assert answer is not None
    assert (answer["prediction"], "confidence" in answer) == (6.0, False)
    assert service.metric("ml_prediction_confidence_count", model_name="churn") is None


def test_it_asks_the_version_that_the_key_belongs_to(service: Service) -> None:
    slots = service.slot(small_bundles.answering(), 1, weight=0.5), service.slot(small_bundles.answering(1), 2, "canary", 0.5)
    service.follow(*slots)

    for number in range(40):
        row = {**ROW, "customer": f"c-{number}"}
        quickly = shortly(service, row)
        assert quickly is not None
        assert quickly["version"] == service.predict(row)["version"]
    assert {record.role for record in service.predictions()} == {"champion", "canary"}


def test_a_version_that_fails_is_left_to_the_long_way(service: Service) -> None:
    champion = service.slot(small_bundles.failing(), 2)
    service.follow(champion, replace(service.slot(small_bundles.answering(), 1), role="fallback", weight=0.0))
    good, bad = {"tenure": 1, "spend": 1}, {"tenure": 100, "spend": 1}

    assert shortly(service, bad) is None
    assert service.predictions() == []
    answer = service.ask("POST", "/predict/churn", json=bad).json()

    assert (answer["version"], answer["fallback"]) == (1, True)
    assert sorted((record.version, record.status) for record in service.predictions()) == [(1, "ok"), (2, "failed")]
    # Its breaker has something to say: no short way until it is calm again.
    assert shortly(service, good) is None
    service.predict(good)
    assert shortly(service, good) is not None


def test_a_version_that_takes_other_rows_or_long_is_left_to_the_long_way(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    wider = service.slot(small_bundles.answering(features=3), 2, "canary", 1.0, small_bundles.WIDER)
    service.follow(replace(service.slot(small_bundles.answering(), 1), weight=0.0), wider)
    assert shortly(service, ROW) is None

    monkeypatch.setattr(loaded, "INLINE_SECONDS", 0.0)
    service.follow(service.slot(small_bundles.answering(2), 4), model="houses")
    assert shortly(service, ROW, model="houses") is None


def test_without_room_on_the_disk_there_is_no_answer(service: Service, tmp_path: Path) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))
    service.spool.close()
    service.spool_folder.rename(tmp_path / "away")
    service.spool_folder.write_text("no folder")

    answer = service.ask("POST", "/predict/churn", json=ROW)

    assert answer.status_code == 503
    assert service.metric("ml_log_unavailable_total") == 1


def test_where_the_disk_is_waited_for_there_is_no_short_way(service: Service, tmp_path: Path) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))
    durable = SpoolWriter(tmp_path / "durable", segment_bytes=1_000_000, durable=True)
    inference = Inference(durable, service._metrics)  # noqa: SLF001 - the parts of the same worker

    assert inference.quick(service.inference.routes, "churn")(ROW, None) is None
    durable.close()


def test_a_caller_who_names_a_version_goes_the_long_way(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))
    monkeypatch.setattr(quick.Quick, "answer", None)

    answer = service.ask("POST", "/predict/churn", json=ROW, headers={"X-Treadle-Version": "1"})

    assert (answer.status_code, service.predictions()[0].role) == (200, "pinned")
