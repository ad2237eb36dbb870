import asyncio
import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import small_bundles
from tests.small_bundles import ROW
from tests.small_service import Service
from treadle.errors import LogUnavailable, ModelBusy, ModelNotReady, ModelNotServed, PredictionFailed, RequestInvalid
from treadle.serving import loaded
from treadle.serving.ids import uuid7
from treadle.serving.loaded import Loaded

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@given(st.floats(0, 2**47 / 1000))
def test_ids_are_of_version_7_and_carry_their_time(now: float) -> None:
    name = uuid7(now)

    assert UUID7.fullmatch(name)
    assert int(name.replace("-", "")[:12], 16) == int(now * 1000)
    assert uuid7(now) != name


def test_an_answer_is_logged_as_it_was_given(service: Service) -> None:
    slot = service.slot(small_bundles.answering(), 3)
    service.follow(slot)

    answer = service.predict({**ROW, "customer": "c-1"}, request_id="r-1")

    (record,) = service.predictions()
    assert json.loads(record.answer) == answer
    assert list(answer) == ["prediction_id", "model", "version", "prediction", "confidence", "probabilities", "fallback"]
    assert (answer["model"], answer["version"], answer["fallback"]) == ("churn", 3, False)
    assert answer["probabilities"][answer["prediction"]] == answer["confidence"]
    assert (record.prediction_id, record.digest, record.generation, record.role) == (answer["prediction_id"], slot.digest, 1, "champion")
    assert (record.at, record.status, record.request_id, record.entity) == (service.now, "ok", "r-1", "c-1")
    assert np.frombuffer(record.row, "<f4").tolist() == [2.0, 30.5]
    assert np.frombuffer(record.scores, "<f4").tolist() == pytest.approx(list(answer["probabilities"].values()))


def test_the_rows_of_a_batch_are_answered_in_order_and_logged_one_by_one(service: Service) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))
    rows = [{"tenure": count, "spend": 1} for count in range(20)]

    answers = service.predict_batch(rows, request_id="r")

    assert [answer["probabilities"] for answer in answers] == [service.predict(row)["probabilities"] for row in rows]
    logged = {record.prediction_id: record for record in service.predictions()}
    assert [logged[answer["prediction_id"]].request_id for answer in answers] == [f"r/{index}" for index in range(20)]


def test_a_regression_answers_a_number(service: Service) -> None:
    service.follow(service.slot(small_bundles.valuing(), 1, interface=small_bundles.VALUE))

    answer = service.predict({"rooms": 2})

    assert answer["prediction"] == 6.0
    assert "confidence" not in answer
    assert service.metric("ml_prediction_confidence_count", model_name="churn") is None


def test_rows_go_by_their_entity_else_by_the_request_else_by_chance(service: Service) -> None:
    champion, canary = service.slot(small_bundles.answering(), 1, weight=0.5), service.slot(small_bundles.answering(1), 2, "canary", 0.5)
    service.follow(champion, canary)

    def versions(entity: Callable[[int], str | None], request: Callable[[int], str | None]) -> set[int]:
        return {service.predict({**ROW, "customer": entity(index)}, request_id=request(index))["version"] for index in range(30)}

    assert len(versions(lambda _: "c-1", lambda index: f"r-{index}")) == 1
    assert len(versions(lambda _: None, lambda _: "r-1")) == 1
    assert versions(lambda index: f"c-{index}", lambda _: "r-1") == {1, 2}
    assert versions(lambda _: None, lambda _: None) == {1, 2}


def test_when_the_canary_fails_the_champion_answers_and_both_attempts_are_logged(service: Service) -> None:
    service.follow(service.slot(small_bundles.answering(), 1, weight=0.001), service.slot(small_bundles.failing(), 2, "canary", 0.999))

    answer = service.predict({**ROW, "customer": "c"}, request_id="r")

    assert (answer["version"], answer["fallback"]) == (1, True)
    failed, answered = service.predictions()
    assert (failed.version, failed.role, failed.status, failed.answer, failed.scores) == (2, "canary", "failed", "", b"")
    assert "failed on these rows" in (failed.error or "")
    assert (answered.version, answered.role, answered.status, answered.fallback) == (1, "champion", "ok", True)
    assert (failed.row, failed.request_id, failed.entity) == (answered.row, "r", "c")
    assert answered.prediction_id == answer["prediction_id"] != failed.prediction_id
    assert service.metric("ml_prediction_errors_total", model_name="churn", model_version="2") == 1
    assert service.metric("ml_predictions_total", model_name="churn", model_version="1") == 1


def test_when_the_champion_fails_the_fallback_answers(service: Service) -> None:
    service.follow(service.slot(small_bundles.failing(), 2), service.slot(small_bundles.answering(), 1, "fallback", 0.0))

    answer = service.predict()

    assert (answer["version"], answer["fallback"]) == (1, True)
    assert [(record.role, record.status) for record in service.predictions()] == [("champion", "failed"), ("fallback", "ok")]


def test_when_nothing_can_answer_the_attempts_alone_are_logged(service: Service) -> None:
    service.follow(service.slot(small_bundles.failing(), 2))

    with pytest.raises(PredictionFailed, match="Version 2"):
        service.predict_batch([ROW, ROW])

    assert [record.status for record in service.predictions()] == ["failed", "failed"]
    assert service.metric("ml_prediction_errors_total", model_name="churn", model_version="2") == 2
    assert service.metric("ml_predictions_total", model_name="churn", model_version="2") == 0


def test_a_canary_with_another_interface_is_encoded_by_its_own(service: Service) -> None:
    wider = service.slot(small_bundles.answering(features=3), 2, "canary", 0.999, small_bundles.WIDER)
    service.follow(service.slot(small_bundles.answering(), 1, weight=0.001), wider)

    # The champion's interface, which callers see, does not know the third feature; the canary needs it.
    answer = service.predict()

    assert (answer["version"], answer["fallback"]) == (1, True)
    failed = service.predictions()[0]
    assert failed.row == b""
    assert "visits" in (failed.error or "")


def test_what_the_interface_refuses_is_neither_answered_nor_logged(service: Service) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))

    with pytest.raises(RequestInvalid) as error:
        service.predict_batch([ROW, {"tenure": 101, "spend": 1}])

    assert [problem.field for problem in error.value.fields] == ["rows.1.tenure"]
    assert service.predictions() == []


@pytest.mark.parametrize("rows", [[], [ROW] * 1001, {"tenure": 1}, None])
def test_a_batch_is_a_list_of_bounded_length(service: Service, rows: object) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))

    with pytest.raises(RequestInvalid, match="a list of 1 to 1000"):
        service.predict_batch(rows)


def test_without_a_log_there_is_no_answer(service: Service, tmp_path: Path) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))
    service.spool.close()
    service.spool_folder.rename(tmp_path / "away")
    service.spool_folder.write_text("no folder")

    with pytest.raises(LogUnavailable):
        service.predict()

    assert service.metric("ml_log_unavailable_total") == 1
    assert service.metric("ml_predictions_total", model_name="churn", model_version="1") == 0


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_clock_that_jumps_costs_no_answer_and_no_id_comes_twice(service: Service, jump: float) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))

    given = [service.predict()["prediction_id"]]
    service.now += jump
    given.append(service.predict()["prediction_id"])
    service.now -= jump
    given.append(service.predict()["prediction_id"])

    assert [record.prediction_id for record in service.predictions()] == given
    assert len(set(given)) == 3
    assert [record.at - service.now for record in service.predictions()] == [0, jump, 0]


def test_the_metrics_count_rows_and_time_calls(service: Service) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))

    service.predict()
    service.predict_batch([ROW] * 4)

    assert service.metric("ml_predictions_total", model_name="churn", model_version="1") == 5
    assert service.metric("ml_prediction_confidence_count", model_name="churn") == 5
    assert service.metric("ml_prediction_duration_seconds_count", model_name="churn") == 2


def test_an_unknown_model_is_told_with_those_there_are(service: Service) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))

    with pytest.raises(ModelNotServed, match="no model 'chrun' here: choose from churn"):
        service.predict(model="chrun")


def test_a_model_that_could_not_be_loaded_is_not_ready(service: Service) -> None:
    slot = service.slot(small_bundles.answering(), 1)
    small_bundles.flip(service.bundles, slot.digest)
    service.follow(slot)

    with pytest.raises(ModelNotReady, match=r"model\.onnx"):
        service.predict()


def test_a_call_keeps_the_routes_it_began_with(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.follow(service.slot(small_bundles.slow(), 1))
    inference, old = service.inference, service.inference.routes
    loaded_one = next(iter(old.loaded.values()))
    run = Loaded.run

    async def swapped_meanwhile(self: Loaded, matrix: np.ndarray) -> np.ndarray:
        inference.routes = replace(old, tables={}, loaded={})
        return await run(self, matrix)

    monkeypatch.setattr(Loaded, "run", swapped_meanwhile)

    assert service.predict()["version"] == 1
    assert loaded_one.digest not in inference.routes.loaded


def threads_of(version: Loaded, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that fills with the names of the threads in which the graph runs."""
    seen: list[str] = []
    engine = version._engine  # noqa: SLF001 (to see which thread the graph runs in)
    run = engine.run

    def watched(matrix: np.ndarray) -> np.ndarray:
        seen.append(threading.current_thread().name)
        return run(matrix)

    monkeypatch.setattr(engine, "run", watched)
    return seen


def test_a_slow_version_answers_in_a_thread_of_its_own_and_takes_no_more_than_a_bounded_queue(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.follow(service.slot(small_bundles.slow(), 1))
    version = next(iter(service.inference.routes.loaded.values()))
    assert version.row_seconds > loaded.INLINE_SECONDS
    monkeypatch.setattr(loaded, "QUEUE", 3)
    seen = threads_of(version, monkeypatch)

    async def all_at_once() -> list[object]:
        return await asyncio.gather(*(version.run(np.ones((1, 2), np.float32)) for _ in range(5)), return_exceptions=True)

    outcomes = asyncio.run(all_at_once())

    assert [isinstance(outcome, ModelBusy) for outcome in outcomes] == [False, False, False, True, True]
    assert seen == [f"{version.digest[:12]}_0"] * 3


def test_a_quick_version_answers_on_the_event_loop_unless_the_batch_is_long(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))
    version = next(iter(service.inference.routes.loaded.values()))
    version.row_seconds = 0.0001
    seen = threads_of(version, monkeypatch)

    service.predict()
    service.predict_batch([ROW] * 9)
    service.predict_batch([ROW] * 10)

    here = threading.current_thread().name
    assert seen == [here, here, f"{version.digest[:12]}_0"]
