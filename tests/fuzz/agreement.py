"""Whether the path that callers wait for agrees with FastAPI about a body.

What ours accepts, FastAPI with the row model of the description accepts too, with the same values, and it fits the JSON Schema that is
shown. What FastAPI accepts, ours accepts too, but for the differences that ``Difference`` names.
"""

import asyncio
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from fastapi import Body, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from jsonschema import Draft202012Validator
from starlette.types import Message, Scope

from treadle.engine.encode import Encoder, row_model
from treadle.errors import BodyMalformed, RequestInvalid
from treadle.serving.request import decoded
from treadle.serving.schemas import row_schema
from treadle.spec import Interface

TWICE = "stands once in its object"
"""What our refusal of a key that comes twice says."""


class Difference(StrEnum):
    """What FastAPI takes and ours refuses on purpose."""

    TWICE = "a key stands twice"
    ENCODING = "the text is not UTF-8, or begins with a byte order mark"


class Disagreement(AssertionError):
    """The two answer a body in different ways, and nobody has said that they may."""


class Both:
    """Our checks and FastAPI's of the rows of one interface."""

    def __init__(self, interface: Interface) -> None:
        self._encoder = Encoder(interface)
        self._schema = Draft202012Validator(row_schema(interface))
        self._app = FastAPI()
        self._loop = asyncio.new_event_loop()
        self._theirs: dict[str, Any] | None = None
        model = row_model(interface)

        @self._app.post("/")
        async def take(row: Annotated[model, Body()]) -> None:  # type: ignore[valid-type]
            self._theirs = row.model_dump(exclude_unset=True)  # type: ignore[attr-defined]

        @self._app.exception_handler(RequestValidationError)
        async def refuse(_request: Request, _error: RequestValidationError) -> Response:
            # FastAPI's own handler sends the refused value back, and fails where that is infinite or half of a surrogate pair.
            return Response(status_code=422)

    def check(self, body: bytes) -> Difference | None:
        """Ask both; return the difference between them if it is one that we know.

        Raises:
            Disagreement: it is none that we know.
        """
        payload, refusal = None, None
        try:
            payload = decoded(body)
            matrix, _ = self._encoder.matrix(payload)
        except (BodyMalformed, RequestInvalid) as error:
            refusal = error
        theirs = self._ask(body)
        if refusal is not None:
            return None if theirs is None else self._named(body, refusal, theirs)
        if theirs is None:
            message = f"accepted, and FastAPI refuses it: {body!r}"
            raise Disagreement(message)
        # The encoder reads what FastAPI has read: the matrix must be the same, bit by bit, and so must the texts.
        again, _ = self._encoder.matrix(theirs)
        if matrix.tobytes() != again.tobytes() or msgspec.json.encode(_floats(payload)) != msgspec.json.encode(_floats(theirs)):
            message = f"read as {payload!r}, and by FastAPI as {theirs!r}: {body!r}"
            raise Disagreement(message)
        if not self._schema.is_valid(payload):
            message = f"accepted, and the JSON Schema of the description refuses it: {body!r}"
            raise Disagreement(message)
        return None

    def accepts(self, body: bytes) -> bool:
        """Return whether ours accepts a body."""
        try:
            self._encoder.matrix(decoded(body))
        except (BodyMalformed, RequestInvalid):
            return False
        return True

    def close(self) -> None:
        """Let go of the event loop."""
        self._loop.close()

    def _named(self, body: bytes, refusal: BodyMalformed | RequestInvalid, theirs: object) -> Difference:
        if isinstance(refusal, RequestInvalid) and any(TWICE in problem.allowed for problem in refusal.fields):
            return Difference.TWICE
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return Difference.ENCODING
        if "\0" in text or text.startswith("\ufeff"):
            return Difference.ENCODING
        message = f"refused ({refusal.sentence}), and FastAPI reads {theirs!r}: {body!r}"
        raise Disagreement(message)

    def _ask(self, body: bytes) -> dict[str, Any] | None:
        """Return what FastAPI has read, or None where it refuses the body."""
        self._theirs = None
        status = 0

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)

        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/",
            "raw_path": b"/",
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        self._loop.run_until_complete(self._app(scope, receive, send))
        return self._theirs if status == 200 else None


def _floats(payload: Any) -> dict[str, object]:
    """Return a row with its numbers as floats: one library reads 1e1 or a long number as another type than the other does."""
    return {name: float(value) if type(value) in {int, float} else value for name, value in sorted(payload.items())}
