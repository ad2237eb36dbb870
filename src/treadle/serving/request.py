"""What a request brings: headers that say how to answer, and a body, read within limits and decoded as JSON that says each thing once."""

import asyncio
import json
from collections.abc import Iterable

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from treadle.engine.encode import shown
from treadle.errors import ANY_MODEL, BodyEncoded, BodyMalformed, BodyTooLarge, BodyTooSlow, FieldProblem, RequestInvalid
from treadle.serving.labels import LABEL_FIX

BODY_BYTES = 8_000_000
BODY_SECONDS = 30.0
"""How long the rest of a body may take once its beginning is here: who trickles holds no memory for longer."""

BODY_FIX = {
    "rows": f'The body is {{"rows": [...]}}; GET /models/{ANY_MODEL} has an example of a row.',
    "labels": f'The body is {{"labels": [...]}}. {LABEL_FIX}',
    "reason": 'The body is {"reason": "..."}.',
}
"""What to send instead, by the one key that a body has."""


REQUEST_ID = b"x-request-id"
ENCODING = b"content-encoding"
DEADLINE = b"x-request-deadline-ms"
VERSION = b"x-treadle-version"
LONGEST_DEADLINE = 86_400_000
REQUEST_ID_LENGTH = 200

_decode = msgspec.json.Decoder().decode


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the caller's own id of a request, if it has one.

    Raises:
        RequestInvalid: it could not be logged, or sent back.
    """
    given = next((value for name, value in headers if name == REQUEST_ID), b"")
    text = given.decode("latin-1")
    if len(text) > REQUEST_ID_LENGTH or not (text.isascii() and (text.isprintable() or not text)):
        allowed = f"1 to {REQUEST_ID_LENGTH} printable ASCII characters"
        raise RequestInvalid([FieldProblem("X-Request-ID", text[:20], allowed)], fix="Send another X-Request-ID, or none.")
    return text or None


def seconds(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    """Return how long the caller waits, if it says so.

    Raises:
        RequestInvalid: that is no whole number of milliseconds.
    """
    milliseconds = whole(headers, DEADLINE, "X-Request-Deadline-Ms", LONGEST_DEADLINE)
    return None if milliseconds is None else milliseconds / 1000


def version(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return the version that the caller wants to be answered by, if it names one.

    Raises:
        RequestInvalid: that is no number of a version.
    """
    return whole(headers, VERSION, "X-Treadle-Version", 2**31 - 1)


async def left(receive: Receive) -> None:
    """Come back when the caller has gone away. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def read(receive: Receive, *, seconds: float = BODY_SECONDS) -> bytes:
    """Return the whole body of a request.

    Raises:
        BodyTooLarge: it has more than BODY_BYTES.
        BodyTooSlow: it did not come within so many ``seconds``.
        ClientDisconnect: the caller went away before its end.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        _require_bounded(body)
        return body
    parts = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while message["type"] == "http.request":
                parts += message.get("body", b"")
                _require_bounded(parts)
                if not message.get("more_body"):
                    return bytes(parts)
                message = await receive()
    except TimeoutError as error:
        raise BodyTooSlow(seconds) from error
    raise ClientDisconnect


def require_plain(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse a body that is compressed: one of a few bytes could hold gigabytes.

    Raises:
        BodyEncoded: Content-Encoding is another one than identity.
    """
    for name, value in headers:
        if name == ENCODING and value.strip().lower() not in {b"", b"identity"}:
            raise BodyEncoded(value.decode("latin-1"))


def decoded(body: bytes) -> object:
    """Return what the JSON of a body says.

    Raises:
        BodyMalformed: it is not JSON.
        RequestInvalid: an object names a key twice.
    """
    try:
        content = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyMalformed(str(error)) from error
    # Each key brings a colon: where there are more colons than keys, a key may have come twice, and only one of them was kept.
    colons = body.count(b":")
    if colons and (type(content) is not dict or colons > len(content)) and colons > _keys(content):
        _require_unique_keys(body)
    return content


def member(payload: object, name: str) -> object:
    """Return the one member that the object of a request may have.

    Raises:
        RequestInvalid: it is no object with this one member.
    """
    if not isinstance(payload, dict) or payload.keys() != {name}:
        found = _keys_of(payload) if isinstance(payload, dict) else shown(payload)
        raise RequestInvalid([FieldProblem("", found, f"an object with the one key {name}")], fix=BODY_FIX[name])
    return payload[name]


def whole(headers: Iterable[tuple[bytes, bytes]], header: bytes, name: str, most: int) -> int | None:
    """Return the whole number from 1 to ``most`` that a header holds, if it is there; ``name`` is what errors call it.

    Raises:
        RequestInvalid: it holds something else.
    """
    for key, value in headers:
        if key == header:
            if value.isdigit() and len(value) <= len(str(most)) and 0 < int(value) <= most:
                return int(value)
            problem = FieldProblem(name, value[:20].decode("latin-1"), f"a whole number from 1 to {most}")
            raise RequestInvalid([problem], fix=f"Send another {name}, or none.")
    return None


def _require_bounded(body: bytes | bytearray) -> None:
    if len(body) > BODY_BYTES:
        raise BodyTooLarge(BODY_BYTES)


def _keys(content: object) -> int:
    """Return how many keys stand in an object, or in an object with a list of objects: no good request goes deeper."""
    if not isinstance(content, dict):
        return 0
    return len(content) + sum(sum(map(len, filter(_is_object, value))) for value in content.values() if type(value) is list)


def _is_object(value: object) -> bool:
    return type(value) is dict


def _require_unique_keys(body: bytes) -> None:
    """Read a body again, slowly."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        seen: dict[str, object] = {}
        for key, value in pairs:
            if key in seen:
                raise RequestInvalid([FieldProblem(str(shown(key)), None, "a key that stands once in its object; this one stands twice")])
            seen[key] = value
        return seen

    try:
        json.loads(body, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise BodyMalformed(str(error)) from error


def _keys_of(payload: dict[object, object]) -> str | float | bool | None:
    return shown(f"an object with the keys {', '.join(sorted(map(str, payload)))}" if payload else "an object without a key")
