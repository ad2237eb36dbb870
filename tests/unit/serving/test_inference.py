import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import small_bundles
from tests.small_bundles import ROW
from tests.small_service import Service
from treadle.errors import (
    BreakerOpen,
    DeadlineExceeded,
    LogUnavailable,
    ModelBusy,
    ModelNotReady,
    ModelNotServed,
    PredictionFailed,
    RequestInvalid,
    VersionNotDeployed,
)
from treadle.serving import loaded
from treadle.serving.inference import Asked
from treadle.serving.loaded import Abandoned, Limits, Loaded


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

    async def swapped_meanwhile(self: Loaded, matrix: np.ndarray, limits: Limits) -> np.ndarray:
        inference.routes = replace(old, tables={}, loaded={})
        return await run(self, matrix, limits)

    monkeypatch.setattr(Loaded, "run", swapped_meanwhile)

    assert service.predict()["version"] == 1
    assert loaded_one.digest not in inference.routes.loaded


def threads_of(version: Loaded, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that fills with the names of the threads in which the graph runs."""
    seen: list[str] = []
    engine = version._engine  # noqa: SLF001 (to see which thread the graph runs in)
    run = engine.run

    def watched(*given: Any) -> np.ndarray:
        seen.append(threading.current_thread().name)
        return run(*given)

    monkeypatch.setattr(engine, "run", watched)
    return seen


def test_a_slow_version_answers_in_a_thread_of_its_own_and_takes_no_more_than_a_bounded_queue(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.follow(service.slot(small_bundles.slow(), 1))
    version = next(iter(service.inference.routes.loaded.values()))
    assert version.row_seconds > loaded.INLINE_SECONDS
    seen = threads_of(version, monkeypatch)

    async def all_at_once() -> list[object]:
        limits = Limits(asyncio.get_running_loop().time() + 60, 60, queue=3)
        return await asyncio.gather(*(version.run(np.ones((1, 2), np.float32), limits) for _ in range(5)), return_exceptions=True)

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


MANY = [ROW] * 100
"""Rows that take a slow version some tenths of a second."""


def ask(service: Service, asked: Asked, payload: object = ROW) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(asyncio.run(service.inference.predict("churn", payload, asked)))
    return answer


def ask_many(service: Service, asked: Asked) -> list[dict[str, Any]]:
    return list(map(json.loads, asyncio.run(service.inference.predict_batch("churn", MANY, asked)).told()))


def test_a_deadline_ends_a_slow_call_and_frees_its_thread(service: Service) -> None:
    service.follow(service.slot(small_bundles.slow(), 1))
    clock = service.inference._timer  # noqa: SLF001 - what the service goes by
    began = clock()
    assert len(ask_many(service, Asked())) == len(MANY)
    whole = clock() - began
    with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.01 s"):
        ask_many(service, Asked(seconds=0.01))
    began = clock()
    ask(service, Asked())
    assert clock() - began < whole / 2  # what was halted is over long before it would have been done
    assert [record.status for record in service.predictions()] == [*["ok"] * len(MANY), *["failed"] * len(MANY), "ok"]


def test_what_waits_past_its_deadline_is_never_begun(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.follow(service.slot(small_bundles.slow(), 1))
    version = next(iter(service.inference.routes.loaded.values()))
    seen = threads_of(version, monkeypatch)

    async def one_after_the_other() -> list[object]:
        loop, rows = asyncio.get_running_loop(), np.ones((len(MANY), 2), np.float32)
        patient, hasty = (Limits(loop.time() + seconds, seconds, queue=9) for seconds in (60.0, 0.01))
        return await asyncio.gather(*(version.run(rows, limits) for limits in (patient, hasty, hasty)), return_exceptions=True)

    outcomes = asyncio.run(one_after_the_other())
    assert [isinstance(outcome, DeadlineExceeded) for outcome in outcomes] == [False, True, True]
    assert len(seen) == 1


def test_a_caller_who_goes_away_costs_nothing_more(service: Service) -> None:
    service.follow(service.slot(small_bundles.slow(), 1))

    async def gone() -> None:
        await asyncio.sleep(0.01)

    with pytest.raises(Abandoned):
        ask_many(service, Asked(gone=gone))
    assert service.predictions() == []
    assert next(iter(service.inference.routes.loaded.values())).breaker.calm


def test_a_full_queue_is_told_as_such(service: Service) -> None:
    service.follow(service.slot(small_bundles.slow(), 1))
    policy = service.inference.routes.policy("churn").model_copy(update={"queue": 1})
    service.inference.routes = replace(service.inference.routes, policies={"churn": policy})

    async def all_at_once() -> list[object]:
        return await asyncio.gather(*(service.inference.predict("churn", ROW) for _ in range(3)), return_exceptions=True)

    outcomes = asyncio.run(all_at_once())
    assert [isinstance(outcome, ModelBusy) for outcome in outcomes] == [False, True, True]
    assert next(iter(service.inference.routes.loaded.values())).breaker.calm


FAILS = {"tenure": 9, "spend": 1.0}
"""What the failing graph fails on."""


def tried(service: Service) -> list[tuple[int, bool]]:
    """Return the version of each failed row, and whether it was asked at all."""
    failed = [record for record in service.predictions() if record.status == "failed"]
    return [(record.version, "tried again in" not in str(record.error)) for record in failed]


def test_a_version_that_fails_again_and_again_is_left_alone_and_the_fallback_answers(service: Service) -> None:
    service.follow(service.slot(small_bundles.failing(), 2), service.slot(small_bundles.answering(), 1, "fallback", 0.0))
    for _ in range(7):
        answer = service.predict(FAILS)
        assert (answer["version"], answer["fallback"]) == (1, True)
    # What it was not asked for any more has failed as well: it was its to answer.
    assert tried(service) == [(2, True)] * 5 + [(2, False)] * 2
    assert service.metric("ml_breaker_open", model_name="churn", model_version="2") == 1
    assert [kind for kind, _ in service.events()].count("breaker.opened") == 1

    # One call tries it after its rest: it fails, and the others do not wait for it.
    service.ahead = 61
    assert [service.predict(FAILS)["version"] for _ in range(3)] == [1] * 3
    assert tried(service)[7:] == [(2, True)] + [(2, False)] * 2

    # And once it answers, it is asked again.
    service.ahead = 122
    good = {"tenure": 1, "spend": 1.0}
    assert [service.predict(good)["version"] for _ in range(2)] == [2, 2]
    assert service.metric("ml_breaker_open", model_name="churn", model_version="2") == 0
    assert [kind for kind, _ in service.events()].count("breaker.closed") == 1


def test_with_nobody_to_stand_in_the_caller_is_told_when_to_come_back(service: Service) -> None:
    service.follow(service.slot(small_bundles.failing(), 2))
    for _ in range(5):
        with pytest.raises(PredictionFailed):
            service.predict(FAILS)
    service.ahead = 10
    with pytest.raises(BreakerOpen) as caught:
        service.predict(FAILS)
    assert 49 <= caught.value.retry_after <= 50
    assert tried(service) == [(2, True)] * 5 + [(2, False)]


def test_time_outs_open_the_breaker_too(service: Service) -> None:
    service.follow(service.slot(small_bundles.slow(), 2), service.slot(small_bundles.answering(), 1, "fallback", 0.0))
    answered = [ask(service, Asked(seconds=0.002)) for _ in range(6)]
    assert [(one["version"], one["fallback"]) for one in answered] == [(1, True)] * 6
    assert tried(service) == [(2, True)] * 5 + [(2, False)]


def test_rows_that_a_version_does_not_take_say_nothing_of_its_health(service: Service) -> None:
    wider = service.slot(small_bundles.answering(features=3), 2, "canary", 0.99, interface=small_bundles.WIDER)
    service.follow(service.slot(small_bundles.answering(), 1, weight=0.01), wider)
    for number in range(20):
        assert service.predict({**ROW, "customer": f"c{number}"})["version"] == 1
    assert service.inference.routes.loaded[wider.digest].breaker.calm


def test_a_caller_may_name_the_version_and_nothing_stands_in_for_it(service: Service) -> None:
    service.follow(service.slot(small_bundles.answering(), 1), service.slot(small_bundles.failing(), 2, "canary", 0.0))
    assert ask(service, Asked(version=2), {"tenure": 1, "spend": 1.0})["version"] == 2
    assert ask(service, Asked(version=1))["version"] == 1
    assert [record.role for record in service.predictions()] == ["pinned", "pinned"]
    with pytest.raises(PredictionFailed):
        ask(service, Asked(version=2), FAILS)
    with pytest.raises(VersionNotDeployed, match="Version 7 of churn is not deployed; deployed: 1, 2"):
        ask(service, Asked(version=7))
