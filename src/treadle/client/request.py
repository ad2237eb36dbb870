"""What is sent: the bytes of rows and labels, cut into requests that the service takes, and the headers."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from http import HTTPStatus
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from treadle.client.answers import Label
from treadle.errors import NotSendable

T = TypeVar("T")

MOST_ITEMS = 1000
"""Most rows or labels of one request."""

MOST_BYTES = 7_500_000
"""Most bytes of a body that several items share: a little below what the service reads."""

REQUEST_ID_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One thing to ask, however often it is sent.

    ``read`` makes the result of the body and of the number of attempts. ``again``: whether it may be sent again after an attempt
    that may have been carried out.
    """

    method: str
    path: str
    read: Callable[[bytes, int], T]
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    statuses: tuple[int, ...] = (HTTPStatus.OK, HTTPStatus.ACCEPTED)
    again: bool = True


class Piece(NamedTuple):
    """Items that go together: from which place on, how many, and the body."""

    start: int
    size: int
    body: bytes


def path_of(*parts: str | int) -> str:
    """Return a path; what stands in a part is quoted, a slash too."""
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


def encoded(what: str, item: object) -> bytes:
    """Return an item as JSON. Numbers of NumPy are plain numbers there, a date is YYYY-MM-DD.

    Raises:
        NotSendable: JSON has no such value.
    """
    if isinstance(item, Label):
        item = {name: value for name, value in msgspec.structs.asdict(item).items() if value is not None}
    try:
        return json.dumps(item, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()
    except (TypeError, ValueError) as error:  # a lone half of a character is a ValueError too
        fix = "Leave a key out, or give None, where a value is missing; the rest are texts, numbers, truth values and dates."
        raise NotSendable(what, str(error), fix) from error


def _plain(value: Any) -> Any:
    """Return a value that ``json`` does not know as one that it does."""
    if type(value) is date:
        return value.isoformat()
    if hasattr(value, "item"):
        return value.item()
    message = f"JSON has no {type(value).__name__}"
    raise TypeError(message)


def pieces(key: str, items: Iterable[object]) -> Iterator[Piece]:
    """Yield items, in their order, as bodies {key: [...]} that the service takes: up to 1,000 of them, and not too many bytes.

    Raises:
        NotSendable: an item cannot be JSON.
    """
    start, size, waiting = 0, 0, list[bytes]()
    for place, item in enumerate(items):
        body = encoded(f"{'row' if key == 'rows' else 'label'} {place}", item)
        if waiting and (len(waiting) == MOST_ITEMS or size + len(body) + 1 > MOST_BYTES):
            yield _piece(key, start, waiting)
            start, size, waiting = place, 0, []
        waiting.append(body)
        size += len(body) + 1
    if waiting:
        yield _piece(key, start, waiting)


def _piece(key: str, start: int, items: list[bytes]) -> Piece:
    return Piece(start, len(items), b'{"%s":[%s]}' % (key.encode(), b",".join(items)))


def sendable(what: str, text: str, *, secret: bool = False) -> str:
    """Return a text that can be a header.

    Raises:
        NotSendable: it is empty, too long, or has other than printable ASCII characters. A secret is not repeated.
    """
    if 0 < len(text) <= REQUEST_ID_LENGTH and text.isascii() and text.isprintable():
        return text
    shown = "" if secret else f"{text[:20]!r} is not what is allowed: "
    raise NotSendable(what, f"{shown}1 to {REQUEST_ID_LENGTH} printable ASCII characters", "Give another one, or none.")
