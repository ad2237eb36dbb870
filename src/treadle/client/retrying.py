"""When a request is sent again. Nothing here sends or sleeps: what does is told what to do next, and tells what came of it.

A request that certainly was not carried out is sent again: the connection could not be made, or the service said 429 or 503. One whose
connection broke afterwards may have been carried out; it is sent again where doing it twice does no harm, and the result says how often.
"""

import math
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

import httpx
import msgspec

from treadle.client import answers
from treadle.client.request import Request
from treadle.client.terms import Terms
from treadle.errors import AnswerLost, DeadlinePassed, NoService, RequestRefused, ServiceUnavailable, ServiceUnreachable, TreadleError

T = TypeVar("T")

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 2.0
"""The pause before attempt n + 1 is a random share of FIRST_SECONDS · 2^(n - 1), and of LONGEST_SECONDS at most."""

PATIENCE_SECONDS = 30.0
"""Longest Retry-After that is waited for: beyond it the caller knows better what to do."""

LONGEST_DEADLINE_MS = 86_400_000
"""The service takes no more: a day."""

NOT_NOW = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
LATE = httpx.TimeoutException
HOPELESS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


class Attempt(NamedTuple):
    """Send the request once, with these headers, and give up after so many seconds."""

    request: Request[Any]
    headers: Mapping[str, str]
    seconds: float


class Pause(NamedTuple):
    """Wait."""

    seconds: float


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Step = Attempt | Pause
Outcome = Reply | httpx.RequestError | None
"""What came of a step: nothing of a pause."""

Talk = Generator[Step, Outcome, T]
"""A call as its steps; it returns what the caller wants to know."""


class Deadline:
    """The moment at which a call must have ended; without ``seconds`` there is none."""

    def __init__(self, seconds: float | None, clock: Callable[[], float]) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._clock = clock
        self._end = clock() + self.seconds

    def left(self) -> float:
        """Return the seconds until then: infinite if there is none, at most 0 once it has passed."""
        left = self._end - self._clock()
        return left if left > 0 else 0.0  # also where somebody asked for "not a number" seconds


class _Trouble(NamedTuple):
    """What went wrong: as an error, and in words.

    ``again``: whether to try again; ``asked``: how long the service asks to wait before; ``late``: it took too long.
    """

    error: TreadleError
    words: str
    again: bool = False
    asked: float | None = None
    late: bool = False


def exchange(terms: Terms, request: Request[T], until: Deadline) -> Talk[T]:
    """Send a request until it is answered, refused, or not worth another attempt, and return what was read of the answer.

    Raises:
        RequestRefused: the service does not take it.
        ServiceUnavailable: it says 429 or 503, and still did so at the last attempt, or asks for a longer pause than there is time.
        ServiceUnreachable: no connection could be made.
        AnswerLost: it was sent, and no answer came.
        DeadlinePassed: the time is over.
        NoService: what answers is something else.
    """
    last, cause, number, lost = "there was no time to ask", None, 0, 0
    while left := until.left():
        number += 1
        seconds = min(terms.timeout, left)
        found = _judged(terms, request, (yield Attempt(request, _headers(request, until, seconds), seconds)), number)
        if not isinstance(found, _Trouble):
            return found
        last, cause = found.words, found.error
        lost += isinstance(cause, AnswerLost)
        if found.late and left <= terms.timeout and until.left() < left / 10:
            break  # it was the deadline that ended the attempt, here or at the service; that has limits of its own, too
        pause = _pause(terms, number, found.asked)
        too_long = pause > PATIENCE_SECONDS or (found.asked is not None and pause >= until.left())
        if not found.again or number > terms.retries or too_long:
            raise _last(terms, found, number, lost)
        if pause >= until.left():
            break
        yield Pause(pause)
    raise DeadlinePassed(terms.shown, until.seconds, last, attempts=number, lost=lost) from cause


def retry_after(text: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for, which is a whole number or a date; None if it is neither."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)


def _headers(request: Request[Any], until: Deadline, seconds: float) -> dict[str, str]:
    """Return the headers of an attempt; one tells the service how long its answer is waited for, where there is a deadline."""
    return {**request.headers, **({} if math.isinf(until.seconds) else {"X-Request-Deadline-Ms": str(_milliseconds(seconds))})}


def _milliseconds(seconds: float) -> int:
    return min(max(1, int(seconds * 1000)), LONGEST_DEADLINE_MS)


def _pause(terms: Terms, number: int, asked: float | None) -> float:
    """Return how long to wait after attempt ``number``: what was asked for, and then at random, so that not all come back at once."""
    return (asked or 0.0) + terms.clocks.chance() * min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(number - 1, 30))


def _last(terms: Terms, found: _Trouble, number: int, lost: int) -> TreadleError:
    """Return the error that ends a call; what may have been carried out by an earlier attempt is not hidden by a later one."""
    if lost and type(found.error) is ServiceUnreachable:
        return AnswerLost(terms.shown, found.words, attempts=number, lost=lost)
    if isinstance(found.error, ServiceUnreachable | RequestRefused):
        found.error.lost = lost
    return found.error


def _judged(terms: Terms, request: Request[T], outcome: Outcome, number: int) -> T | _Trouble:
    """Return what was asked for, or what went wrong."""
    if not isinstance(outcome, Reply):
        return _unanswered(terms, request, outcome, number)
    if outcome.status in request.statuses:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            return request.read(outcome.body, number)
    return _refusal(terms, request, outcome, number)


def _unanswered(terms: Terms, request: Request[Any], outcome: Exception | None, number: int) -> _Trouble:
    """Judge an attempt to which nothing came back."""
    said = str(outcome) or type(outcome).__name__
    if isinstance(outcome, HOPELESS):
        return _Trouble(ServiceUnreachable(terms.shown, said), said)
    if isinstance(outcome, NOT_SENT):  # also after a time-out: that of a connection is shorter than that of an answer
        return _Trouble(ServiceUnreachable(terms.shown, said, attempts=number), said, again=True)
    # After a time-out the service is probably still at work on it: to send it again would make it slower yet.
    late = isinstance(outcome, LATE)
    return _Trouble(AnswerLost(terms.shown, said, attempts=number), said, again=request.again and not late, late=late)


def _refusal(terms: Terms, request: Request[Any], reply: Reply, number: int) -> _Trouble:
    """Judge an answer that is not what was asked for."""
    told = answers.failure(reply.body)
    late = reply.status == HTTPStatus.GATEWAY_TIMEOUT
    if reply.status in NOT_NOW:
        asked = retry_after(reply.headers.get("retry-after"), terms.clocks.now())
        said = told or answers.Failure("it says no more than that.", "Try again later.", ())
        error = ServiceUnavailable(terms.shown, reply.status, said.what, fields=said.fields, fix=said.fix, retry_after=asked)
        return _Trouble(error, said.what, again=True, asked=asked)
    if told is not None:
        return _Trouble(RequestRefused(terms.shown, reply.status, told.what, fields=told.fields, fix=told.fix), told.what, late=late)
    if late or reply.status == HTTPStatus.BAD_GATEWAY:
        words = f"a proxy before it says {reply.status}"
        return _Trouble(AnswerLost(terms.shown, words, attempts=number), words, again=request.again and not late, late=late)
    words = f"it answers {reply.status} to {request.path}, in words of its own."
    return _Trouble(NoService(terms.shown, words), words)
