"""What a body may be, over HTTP: each limit has its status and its sentence. docs/architecture/serving.md has the same table."""

import asyncio
import gzip
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest

from tests import small_bundles
from tests.small_bundles import ROW
from tests.small_service import Service
from treadle.serving import hot
from treadle.serving.inference import BATCH_ROWS
from treadle.serving.request import BODY_BYTES, read

PLAIN = msgspec.json.encode(ROW)
BOMB = gzip.compress(b" " * 10_000_000)


@pytest.fixture
def live(service: Service) -> Service:
    service.follow(service.slot(small_bundles.answering(), 1))
    return service


def rows(count: int) -> bytes:
    return b'{"rows":[' + b",".join([PLAIN] * count) + b"]}"


def told(answer: httpx.Response) -> tuple[int, str]:
    """Return the status of an error, and all that it says."""
    error = answer.json()["error"]
    lines = [f"{problem['field']}={problem['value']}: {problem['allowed']}" for problem in error["problems"]]
    return answer.status_code, " ".join([error["what"], error["fix"], *lines])


LIMITS: dict[str, tuple[str, bytes, dict[str, str], int, str]] = {
    "body size": ("", b" " * (BODY_BYTES + 1), {}, 413, "8000000 bytes"),
    "rows": ("/batch", rows(BATCH_ROWS + 1), {}, 422, "1000"),
    "no rows": ("/batch", rows(0), {}, 422, "1 to 1000"),
    "depth of the body": ("", b"[" * 100_000 + b"]" * 100_000, {}, 422, "is not JSON"),
    "depth of a value": ("", b'{"tenure":2,"spend":' + b"[" * 50 + b"]" * 50 + b"}", {}, 422, "spend=a list: a number from 0 to 1000"),
    "NaN": ("", b'{"tenure":2,"spend":NaN}', {}, 422, "is not JSON"),
    "Infinity": ("", b'{"tenure":2,"spend":-Infinity}', {}, 422, "is not JSON"),
    "a number beyond every float": ("", b'{"tenure":2,"spend":1e999}', {}, 422, ""),
    "a huge integer": ("", b'{"tenure":' + b"9" * 400 + b',"spend":1}', {}, 422, ""),
    "an integer of a hundred thousand digits": ("", b'{"tenure":' + b"9" * 100_000 + b',"spend":1}', {}, 422, ""),
    "UTF-16": ("", PLAIN.decode().encode("utf-16"), {}, 422, "is not JSON"),
    "a byte order mark": ("", b"\xef\xbb\xbf" + PLAIN, {}, 422, "is not JSON"),
    "Latin-1": ("", b'{"tenure":2,"spend":1,"customer":"\xe9"}', {}, 422, "is not JSON"),
    "half of a surrogate pair": ("", b'{"tenure":2,"spend":1,"customer":"\\ud800"}', {}, 422, ""),
    "a key twice": ("", b'{"tenure":2,"tenure":3,"spend":1}', {}, 422, "a key that stands once in its object"),
    "a compression bomb": ("", BOMB, {"Content-Encoding": "gzip"}, 415, "gzip"),
    "a compression bomb that does not say so": ("", BOMB, {}, 422, "is not JSON"),
    "two encodings": ("", BOMB, {"Content-Encoding": "identity, gzip"}, 415, "identity, gzip"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_body_beyond_a_limit_is_refused_in_our_words_and_nothing_is_logged(live: Service, limit: str) -> None:
    path, body, headers, status, words = LIMITS[limit]

    answer = told(live.ask("POST", f"/predict/churn{path}", content=body, headers=headers))

    assert (answer[0], words in answer[1]) == (status, True), answer
    assert live.predictions() == []
    assert live.ask("POST", "/predict/churn", content=PLAIN).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("", b" " * (BODY_BYTES - len(PLAIN)) + PLAIN, {}),
        ("/batch", rows(BATCH_ROWS), {}),
        ("", PLAIN, {"Content-Encoding": "identity"}),
        ("", '{"tenure":2,"spend":1,"customer":"größer"}'.encode(), {}),
    ],
    ids=["body size", "rows", "identity", "UTF-8"],
)
def test_a_body_at_a_limit_is_answered(live: Service, path: str, body: bytes, headers: dict[str, str]) -> None:
    assert live.ask("POST", f"/predict/churn{path}", content=body, headers=headers).status_code == 200


def asked(live: Service, receive: Any) -> list[dict[str, Any]]:
    """Return what is sent to a caller whose body comes by ``receive``."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict/churn", "headers": [], "client": ("127.0.0.1", 1)}
    asyncio.run(live.app(scope, receive, send))
    return sent


def test_a_body_that_trickles_is_given_up(live: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot, "read", partial(read, seconds=0.01))
    parts = iter([PLAIN[:5], PLAIN[5:9]])

    async def receive() -> dict[str, Any]:
        for part in parts:
            return {"type": "http.request", "body": part, "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError

    start, body = asked(live, receive)

    assert start["status"] == 408
    assert "0.01 s" in msgspec.json.decode(body["body"])["error"]["what"]
    assert live.predictions() == []


def test_a_body_in_parts_is_answered_and_one_that_grows_too_large_is_not_read_to_its_end(live: Service) -> None:
    halves = iter([(PLAIN[:5], True), (PLAIN[5:], False)])
    taken = 0

    async def receive() -> dict[str, Any]:
        part, more = next(halves)
        return {"type": "http.request", "body": part, "more_body": more}

    async def endless() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b" " * 1_000_000, "more_body": True}

    assert asked(live, receive)[0]["status"] == 200
    assert asked(live, endless)[0]["status"] == 413
    assert taken == 9


def test_a_caller_who_goes_away_in_the_middle_of_a_body_is_sent_nothing(live: Service) -> None:
    given: list[dict[str, Any]] = [{"type": "http.request", "body": PLAIN[:5], "more_body": True}, {"type": "http.disconnect"}]
    messages = iter(given)

    async def receive() -> dict[str, Any]:
        return next(messages)

    assert asked(live, receive) == []
    assert live.predictions() == []
