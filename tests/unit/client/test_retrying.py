"""Which attempts are followed by another one, when, and what is said in the end: the same for both clients."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.client.answering import ROW, URL, Answer, Caller, Machine, refusal, said
from treadle.client import AsyncClient, Client
from treadle.client.request import Request
from treadle.client.retrying import FIRST_SECONDS, LONGEST_SECONDS, PATIENCE_SECONDS, Attempt, Deadline, Pause, Reply, exchange, retry_after
from treadle.client.terms import Clocks, Terms
from treadle.errors import (
    AnswerLost,
    DeadlinePassed,
    FieldProblem,
    NoService,
    RequestRefused,
    ServiceUnavailable,
    ServiceUnreachable,
    TreadleError,
)

NOT_SENT: list[Answer] = [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.PoolTimeout("full")]
BROKEN: list[Answer] = [
    httpx.ReadError("reset"),
    httpx.WriteError("reset"),
    httpx.RemoteProtocolError("gone"),
    httpx.Response(502, text="<html>"),
]
LATE: list[Answer] = [httpx.ReadTimeout("slow"), httpx.WriteTimeout("slow"), httpx.Response(504, text="<html>")]


@pytest.mark.parametrize("trouble", [*NOT_SENT, *BROKEN, refusal(503), refusal(429), httpx.Response(503, text="<html>")], ids=repr)
def test_what_may_pass_is_tried_again_under_the_same_request_id(caller: Caller, trouble: Answer) -> None:
    service = caller.answered_by(trouble, trouble, said(200))
    found = caller("predict", "churn", ROW)
    assert found.attempts == 3
    assert {asked.headers["x-request-id"] for asked in service.asked} == {found.request_id}
    assert len({asked.content for asked in service.asked}) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422, 500])
def test_a_refusal_is_told_at_once_in_the_words_of_the_service(caller: Caller, status: int) -> None:
    service = caller.answered_by(refusal(status, "tenure", ""), said(200))
    with pytest.raises(RequestRefused) as caught:
        caller("predict", "churn", ROW)
    assert len(service.asked) == 1
    assert not isinstance(caught.value, ServiceUnavailable)
    assert (caught.value.status, caught.value.said, caught.value.fix) == (status, "No.", "Ask less.")
    assert caught.value.fields == (FieldProblem("tenure", 1, "less"), FieldProblem("", 1, "less"))
    assert caught.value.problems == ("tenure is 1; allowed: less", "the row is 1; allowed: less")


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        *((one, ServiceUnreachable) for one in NOT_SENT),
        *((one, AnswerLost) for one in BROKEN),
        (refusal(503), ServiceUnavailable),
        (refusal(429), ServiceUnavailable),
    ],
    ids=repr,
)
def test_in_the_end_the_last_trouble_is_told(caller: Caller, trouble: Answer, kind: type[TreadleError]) -> None:
    service = caller.answered_by(trouble)
    with pytest.raises(kind) as caught:
        caller("predict", "churn", ROW)
    assert type(caught.value) is kind
    assert len(service.asked) == 4
    assert URL in caught.value.what
    if kind is not ServiceUnavailable:
        assert caught.value.what.endswith(" (4 attempts).")


@pytest.mark.parametrize("trouble", [*NOT_SENT, *BROKEN, refusal(503), refusal(429)], ids=repr)
def test_without_retries_every_failure_is_seen(caller: Caller, trouble: Answer) -> None:
    caller.how["retries"] = 0
    service = caller.answered_by(trouble, said(200))
    with pytest.raises(TreadleError):
        caller("predict", "churn", ROW)
    assert (len(service.asked), caller.machine.waits) == (1, [])


@pytest.mark.parametrize("trouble", LATE, ids=repr)
def test_a_service_that_is_slow_is_not_asked_again(caller: Caller, trouble: Answer) -> None:
    service = caller.answered_by(trouble, said(200))
    with pytest.raises(AnswerLost, match="was asked and did not answer"):
        caller("predict", "churn", ROW)
    assert len(service.asked) == 1


@pytest.mark.parametrize("trouble", BROKEN, ids=repr)
def test_a_consent_that_may_have_been_heard_is_not_given_again(caller: Caller, trouble: Answer) -> None:
    service = caller.answered_by(trouble, said(202))
    with pytest.raises(AnswerLost, match="may have done what was asked"):
        caller("approve", "churn", 3, "Fine.")
    assert len(service.asked) == 1


@pytest.mark.parametrize("trouble", NOT_SENT, ids=repr)
def test_a_consent_that_was_certainly_not_heard_is_given_again(caller: Caller, trouble: Answer) -> None:
    told = {"id": "i", "model": "churn", "version": 3, "decision": "approve", "actor": "ada"}
    service = caller.answered_by(trouble, said(202, told))
    assert caller("approve", "churn", 3, "Fine.").id == "i"
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    "answer", [httpx.Response(200, text="<html>"), said(200, []), said(200, {}), httpx.Response(302), said(404, {})], ids=repr
)
def test_somebody_else_at_the_address_is_called_so(caller: Caller, answer: Answer) -> None:
    service = caller.answered_by(answer)
    with pytest.raises(NoService, match="/predict/churn"):
        caller("predict", "churn", ROW)
    assert len(service.asked) == 1


def test_an_answer_that_cannot_be_unpacked_is_lost(caller: Caller) -> None:
    caller.answered_by(httpx.DecodingError("no gzip"))
    with pytest.raises(AnswerLost):
        caller("predict", "churn", ROW)


def test_what_cannot_be_sent_at_all_is_not_tried_twice(caller: Caller) -> None:
    service = caller.answered_by(httpx.LocalProtocolError("bad header"))
    with pytest.raises(ServiceUnreachable, match="bad header"):
        caller("predict", "churn", ROW)
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("last", "kind"),
    [(NOT_SENT[0], AnswerLost), (refusal(503), ServiceUnavailable), (refusal(422), RequestRefused), (BROKEN[0], AnswerLost)],
    ids=repr,
)
def test_a_later_failure_does_not_hide_that_an_earlier_attempt_may_have_been_carried_out(
    caller: Caller, last: Answer, kind: type[TreadleError]
) -> None:
    caller.answered_by(NOT_SENT[0], BROKEN[0], BROKEN[1], last)
    with pytest.raises(kind) as caught:
        caller("predict", "churn", ROW)
    assert type(caught.value) is kind
    assert caught.value.lost == (3 if last is BROKEN[0] else 2)  # type: ignore[attr-defined]


def test_without_a_lost_attempt_none_is_told(caller: Caller) -> None:
    caller.answered_by(NOT_SENT[0])
    with pytest.raises(ServiceUnreachable) as caught:
        caller("predict", "churn", ROW)
    assert caught.value.lost == 0


def test_a_deadline_tells_what_may_have_been_carried_out(caller: Caller) -> None:
    caller.answered_by(BROKEN[0], NOT_SENT[0], httpx.ReadTimeout("slow"), took=2.9)
    with pytest.raises(DeadlinePassed) as caught:
        caller("predict", "churn", ROW, deadline=9)
    assert (caught.value.attempts, caught.value.lost) == (3, 2)


def test_a_connection_that_takes_long_is_tried_again_before_the_deadline(caller: Caller) -> None:
    service = caller.answered_by(httpx.ConnectTimeout("slow"), said(200), took=5.0)
    assert caller("predict", "churn", ROW, deadline=20).attempts == 2
    assert len(service.asked) == 2


# pauses


def test_pauses_grow_and_end_with_a_longest(caller: Caller) -> None:
    caller.how["retries"] = 7
    caller.answered_by(*[httpx.ConnectError("refused")] * 7, said(200))
    assert caller("predict", "churn", ROW).attempts == 8
    assert caller.machine.waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])


def test_a_pause_is_a_random_share_of_the_longest_it_could_be(caller: Caller) -> None:
    caller.machine.share = 0.25
    caller.answered_by(*[httpx.ConnectError("refused")] * 2, said(200))
    caller("predict", "churn", ROW)
    assert caller.machine.waits == pytest.approx([0.025, 0.05])


@pytest.mark.parametrize("status", [429, 503])
def test_what_the_service_asks_for_is_waited_for_and_a_little_more(caller: Caller, status: int) -> None:
    caller.answered_by(refusal(status, retry_after="5"), said(200))
    caller("predict", "churn", ROW)
    assert caller.machine.waits == pytest.approx([5.1])


def test_a_date_to_come_back_at_is_waited_for(caller: Caller) -> None:
    date = format_datetime(datetime.fromtimestamp(caller.machine.at + 7, UTC), usegmt=True)
    caller.answered_by(refusal(503, retry_after=date), said(200))
    caller("predict", "churn", ROW)
    assert caller.machine.waits == pytest.approx([7.1])


def test_a_long_wait_is_left_to_the_caller(caller: Caller) -> None:
    service = caller.answered_by(refusal(429, retry_after="3600"), said(200))
    with pytest.raises(ServiceUnavailable) as caught:
        caller("predict", "churn", ROW)
    assert caught.value.retry_after == 3600
    assert (len(service.asked), caller.machine.waits) == (1, [])


def test_a_wait_beyond_the_deadline_is_not_begun(caller: Caller) -> None:
    service = caller.answered_by(refusal(503, retry_after="5"), said(200))
    with pytest.raises(ServiceUnavailable) as caught:
        caller("predict", "churn", ROW, deadline=4)
    assert caught.value.retry_after == 5
    assert (len(service.asked), caller.machine.waits) == (1, [])


# deadlines


def test_the_service_is_told_how_long_is_left(caller: Caller) -> None:
    service = caller.answered_by(httpx.ReadError("reset"), httpx.ReadError("reset"), said(200), took=1.0)
    assert caller("predict", "churn", ROW, deadline=10).attempts == 3
    assert [int(asked.headers["x-request-deadline-ms"]) for asked in service.asked] == pytest.approx([10_000, 8_900, 7_700], abs=1)


def test_the_service_is_not_told_more_than_an_attempt_may_take(caller: Caller) -> None:
    caller.how["timeout"] = 2.0
    service = caller.answered_by(said(200))
    caller("predict", "churn", ROW, deadline=10)
    assert service.asked[0].headers["x-request-deadline-ms"] == "2000"
    assert service.asked[0].extensions["timeout"] == {"connect": 2.0, "read": 2.0, "write": 2.0, "pool": 2.0}


def test_the_service_is_told_no_more_than_it_takes(caller: Caller) -> None:
    caller.how["timeout"] = 1e9
    service = caller.answered_by(said(200))
    caller("predict", "churn", ROW, deadline=1e8)
    assert service.asked[0].headers["x-request-deadline-ms"] == "86400000"


def test_an_attempt_may_take_no_longer_than_is_left(caller: Caller) -> None:
    service = caller.answered_by(said(200))
    caller("predict", "churn", ROW, deadline=7.5)
    assert service.asked[0].extensions["timeout"] == {"connect": 5.0, "read": 7.5, "write": 7.5, "pool": 7.5}


def test_a_deadline_ends_all_attempts(caller: Caller) -> None:
    caller.how["retries"] = 100
    service = caller.answered_by(httpx.ConnectError("refused"), took=1.0)
    with pytest.raises(DeadlinePassed, match=r"within the deadline of 5 s: refused \(4 attempts\)\.") as caught:
        caller("predict", "churn", ROW, deadline=5)
    assert caught.value.attempts == len(service.asked) == 4
    assert isinstance(caught.value.__cause__, ServiceUnreachable)
    assert caller.machine.at <= 1005


@pytest.mark.parametrize("trouble", [httpx.ReadTimeout("slow"), refusal(504), httpx.Response(504, text="<html>")], ids=repr)
def test_an_attempt_that_the_deadline_ended_is_told_so(caller: Caller, trouble: Answer) -> None:
    service = caller.answered_by(trouble, took=4.9)
    with pytest.raises(DeadlinePassed) as caught:
        caller("predict", "churn", ROW, deadline=5)
    assert len(service.asked) == caught.value.attempts == 1


def test_a_limit_of_the_service_that_comes_before_the_deadline_is_a_refusal(caller: Caller) -> None:
    caller.answered_by(refusal(504), took=3.0)
    for deadline in (None, 20, 60):
        with pytest.raises(RequestRefused) as caught:
            caller("predict", "churn", ROW, deadline=deadline)
        assert caught.value.status == 504


@pytest.mark.parametrize("deadline", [0, -1, float("nan")])
def test_a_deadline_that_has_passed_asks_nothing(caller: Caller, deadline: float) -> None:
    with pytest.raises(DeadlinePassed) as caught:
        caller("predict", "churn", ROW, deadline=deadline)
    assert (caught.value.attempts, caller.service.asked) == (0, [])


def test_the_deadline_of_a_batch_is_that_of_all_its_parts(caller: Caller) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(202, json={"accepted": len(json.loads(request.content)["labels"])})

    service = caller.answered_by(answer, took=2.0)
    with pytest.raises(TreadleError, match=r"Only the first 2000 of 3500 are done. .* deadline of 4 s") as caught:
        caller("labels", "churn", [{"value": "yes", "entity": "e"}] * 3500, deadline=4)
    assert isinstance(caught.value.__cause__, DeadlinePassed)
    assert len(service.asked) == 2


class Drip(httpx.SyncByteStream, httpx.AsyncByteStream):
    """An answer that comes byte by byte, a second each."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __iter__(self) -> Iterator[bytes]:
        for byte in b'{"status": "ok", "worker": 1, "treadle": "1"}':
            self._machine.at += 1
            yield bytes([byte])


def test_an_answer_that_drips_in_is_not_waited_for_for_ever() -> None:
    machine = Machine()
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, stream=Drip(machine)))
    with Client(URL, timeout=3, transport=transport, clocks=machine.clocks()) as client, pytest.raises(AnswerLost, match="took too long"):
        client.health()
    assert machine.at == 1004


def test_a_task_waits_no_longer_than_an_attempt_may_take() -> None:
    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def asked() -> None:
        async with AsyncClient(URL, transport=httpx.MockTransport(never)) as client:
            await client.predict("churn", ROW, deadline=0.01)

    with pytest.raises(DeadlinePassed, match="took too long"):
        asyncio.run(asked())


def test_a_task_that_is_cancelled_is_cancelled() -> None:
    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def cancelled() -> bool:
        async with AsyncClient(URL, transport=httpx.MockTransport(never)) as client:
            task = asyncio.create_task(client.health())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            return task.cancelled()

    assert asyncio.run(cancelled())


# the arithmetic


class Trial:
    """One exchange without any client: outcomes are given to it, time is what the steps say."""

    def __init__(self, retries: int, share: float, deadline: float | None) -> None:
        self.at, self.sent, self.paused = 0.0, 0, list[float]()
        clocks = Clocks(clock=lambda: self.at, now=lambda: self.at, chance=lambda: share)
        self.terms = Terms(URL, None, 30.0, retries, clocks)
        self.until = Deadline(deadline, clocks.clock)

    def play(self, outcomes: list[tuple[Any, float]]) -> TreadleError | int:
        steps = exchange(self.terms, Request("GET", "/", lambda _body, attempts: attempts), self.until)
        outcome, left = None, iter(outcomes)
        try:
            while True:
                step = steps.send(outcome)
                if isinstance(step, Pause):
                    assert step.seconds >= 0
                    self.paused.append(step.seconds)
                    self.at, outcome = self.at + step.seconds, None
                else:
                    assert isinstance(step, Attempt)
                    outcome, took = next(left)
                    assert 0 < step.seconds <= 30.0
                    self.sent += 1
                    self.at += min(took, step.seconds)
                    if took > step.seconds:
                        outcome = httpx.ReadTimeout("slow")
        except StopIteration as end:
            return int(end.value)
        except TreadleError as error:
            return error


OUTCOMES = st.sampled_from(
    [
        Reply(200, {}, b""),
        Reply(503, {}, b""),
        Reply(429, {"retry-after": "1"}, b""),
        Reply(503, {"retry-after": "999999999999"}, b""),
        Reply(404, {}, b""),
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
    ]
)


@given(
    outcomes=st.lists(st.tuples(OUTCOMES, st.floats(0, 40)), min_size=12, max_size=12),
    retries=st.integers(0, 10),
    share=st.floats(0, 1, exclude_max=True),
    deadline=st.none() | st.floats(0.001, 100),
)
def test_no_call_lasts_longer_than_its_deadline_or_takes_more_attempts_than_it_may(
    outcomes: list[tuple[Any, float]], retries: int, share: float, deadline: float | None
) -> None:
    trial = Trial(retries, share, deadline)
    found = trial.play(outcomes)
    assert trial.sent <= retries + 1
    assert deadline is None or trial.at <= deadline + 1e-9
    assert all(pause <= PATIENCE_SECONDS for pause in trial.paused)
    if found == trial.sent:
        assert len(trial.paused) == trial.sent - 1
    if isinstance(found, DeadlinePassed):
        assert deadline is not None
        assert found.attempts == trial.sent


@given(number=st.integers(1, 10_000), share=st.floats(0, 1, exclude_max=True))
def test_a_pause_is_bounded_however_often_was_tried(number: int, share: float) -> None:
    trial = Trial(number, share, None)
    outcome = trial.play([(httpx.ConnectError("refused"), 0.0)] * min(number, 40) + [(Reply(200, {}, b""), 0.0)])
    assert outcome == min(number, 40) + 1
    for place, pause in enumerate(trial.paused):
        assert pause == pytest.approx(share * min(LONGEST_SECONDS, FIRST_SECONDS * 2**place))


@given(text=st.text())
def test_any_retry_after_is_a_number_of_seconds_or_nothing(text: str) -> None:
    found = retry_after(text, 0.0)
    assert found is None or found >= 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("0", 0),
        (" 12 ", 12),
        ("9" * 400, 999_999_999),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 60),
        ("Thu, 01 Jan 1970 00:01:00", 60),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ],
)
def test_a_retry_after_is_read_as_the_standard_has_it(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, 0.0) == seconds


def test_an_earlier_date_asks_for_no_wait() -> None:
    assert retry_after("Thu, 01 Jan 1970 00:00:00 GMT", 99.0) == 0
