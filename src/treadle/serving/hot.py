"""The routes that callers wait for, straight on ASGI: what a framework does around one prediction costs more than the model.

Every other path goes on to the application behind.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus

import msgspec
from msgspec.structs import replace
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from treadle.engine.table import Table
from treadle.errors import RequestInvalid, TreadleError
from treadle.serving import tensors
from treadle.serving.inference import ANYTHING, Asked, Inference
from treadle.serving.labels import QUEUED, accept
from treadle.serving.loaded import Abandoned
from treadle.serving.request import (
    DEADLINE,
    ENCODING,
    REQUEST_ID,
    VERSION,
    decoded,
    left,
    member,
    read,
    request_id,
    require_plain,
    seconds,
    version,
)
from treadle.serving.status import FAILED, body_of, headers_of, status_of, told, unrouted
from treadle.serving.trace_context import TRACEPARENT, TRACESTATE
from treadle.serving.tracing import OFF, Fact, Tracing

PREDICT, LABELS, BATCH = "/predict/", "/labels/", "/batch"
JSON = (b"content-type", b"application/json")
SPEAKING = frozenset({REQUEST_ID, ENCODING, DEADLINE, VERSION, TRACEPARENT, TRACESTATE, tensors.HEADER})
"""Headers that change an answer; most requests have none of them."""

TOLD_IDS = 100
"""How many prediction ids of a batch a span names."""

Answer = tuple[HTTPStatus, bytes]
Headers = list[tuple[bytes, bytes]]
DRAWN = "treadle.drawn"
"""Where the scope says whether a request begins a trace, if that was decided already."""

Work = Callable[[str, object, Asked, Receive], Awaitable[Answer]]

logger = logging.getLogger(__name__)


class HotPath:
    """Answers ``POST /predict/{model}``, its ``/batch``, and ``POST /labels/{model}``."""

    def __init__(self, app: ASGIApp, inference: Inference, *, clock: Callable[[], float] = time.time, tracing: Tracing = OFF) -> None:
        self.app = app
        self._inference = inference
        self._clock = clock
        self._tracing = tracing

    def at_once(self, scope: Scope, body: bytes) -> bytes | None:
        """Return the answer to one row that was posted, where nothing stands in the way; None where this must be called, with the scope."""
        quick = self._inference.routes.quick.get(scope["path"][len(PREDICT) :])
        if quick is None or any(name in SPEAKING for name, _ in scope["headers"]):
            return None
        if self._tracing.on:
            scope[DRAWN] = self._tracing.drawn()
            if scope[DRAWN]:
                return None
        try:
            return quick(decoded(body), None)
        except Exception:  # noqa: BLE001 - whatever it is, it comes again there, and is told
            return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path.startswith(PREDICT):
            model = path[len(PREDICT) :]
            work: Work = self._predict
            if model.endswith(BATCH):
                model, work = model[: -len(BATCH)], self._batch
        elif path.startswith(LABELS):
            model, work = path[len(LABELS) :], self._labels
        else:
            model = ""
        if not model or "/" in model:
            await self.app(scope, receive, send)
            return
        await self._handle(work, model, scope, receive, send)

    async def _handle(self, work: Work, model: str, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [JSON]
        speaking = [one for one in scope["headers"] if one[0] in SPEAKING]
        trace = self._tracing.begin(speaking, drawn=scope.get(DRAWN)) if speaking or self._tracing.on else None
        if trace is not None:
            headers += trace.headers
        try:
            if scope["method"] == "POST":
                asked = _asked(speaking, headers) if speaking else ANYTHING
                head = tensors.head_length(scope["headers"]) if speaking and work == self._batch else None
                body = await read(receive)
                if head is None:
                    status, answer = await work(model, decoded(body), asked, receive)
                else:
                    asked = _until_gone(asked, receive)
                    status, answer = await self._tensors(model, tensors.table(body, head), asked, headers)
            else:
                headers.append((b"allow", b"POST"))
                status, answer = HTTPStatus.METHOD_NOT_ALLOWED, msgspec.json.encode(unrouted(scope, "Method Not Allowed"))
        except TreadleError as error:
            known = model if model in self._inference.routes.tables else ""
            status, answer = status_of(error), msgspec.json.encode(body_of(error, known))
            headers += [(key.lower().encode(), value.encode()) for key, value in (headers_of(error) or {}).items()]
        except (ClientDisconnect, Abandoned):
            if trace is not None:
                trace.end(work.__name__, None, {"treadle.model": model})
            return
        except Exception:
            logger.exception("%s failed on a request", scope["path"])
            status, answer = HTTPStatus.INTERNAL_SERVER_ERROR, msgspec.json.encode(told(*FAILED))
        headers.append((b"content-length", b"%d" % len(answer)))
        await send({"type": "http.response.start", "status": status.value, "headers": headers})
        await send({"type": "http.response.body", "body": answer})
        if trace is not None and trace.recorded:
            trace.end(work.__name__, status, {"treadle.model": model, **self._facts(model, speaking, status, answer)})

    def _facts(self, model: str, speaking: Headers, status: HTTPStatus, answer: bytes) -> dict[str, Fact]:
        """Return what a span says of an answer: by what it is found in the log."""
        facts: dict[str, Fact] = {}
        if status == HTTPStatus.OK and answer.startswith(b"{"):
            told = msgspec.json.decode(answer)
            rows = told.get("predictions", [told])
            facts |= {"treadle.rows": len(rows), "treadle.versions": sorted({row["version"] for row in rows})}
            facts["treadle.prediction_ids"] = [row["prediction_id"] for row in rows[:TOLD_IDS]]
        with suppress(RequestInvalid):
            if name := self._inference.routes.logged(model, request_id(speaking)):
                facts["treadle.request_id"] = name
        return facts

    async def _predict(self, model: str, content: object, asked: Asked, receive: Receive) -> Answer:
        quick = self._inference.routes.quick.get(model) if asked.version is None else None
        told = quick(content, asked.request_id) if quick else None
        return HTTPStatus.OK, told or await self._inference.predict(model, content, _until_gone(asked, receive))

    async def _batch(self, model: str, content: object, asked: Asked, receive: Receive) -> Answer:
        answered = await self._inference.predict_batch(model, member(content, "rows"), _until_gone(asked, receive))
        return HTTPStatus.OK, ('{"predictions":[' + ",".join(answered.told()) + "]}").encode()

    async def _tensors(self, model: str, rows: Table, asked: Asked, headers: Headers) -> Answer:
        head, body = tensors.answer(await self._inference.predict_batch(model, rows, asked))
        headers[0] = tensors.BINARY
        headers.append((tensors.HEADER, b"%d" % len(head)))
        return HTTPStatus.OK, head + body

    async def _labels(self, model: str, content: object, _asked: Asked, _receive: Receive) -> Answer:
        count = await accept(self._inference, model, member(content, "labels"), now=self._clock())
        return HTTPStatus.ACCEPTED, msgspec.json.encode({"accepted": count, "note": QUEUED})


def _until_gone(asked: Asked, receive: Receive) -> Asked:
    """Return what is asked, by a caller who may go away before the answer."""
    return replace(asked, gone=partial(left, receive))


def _asked(speaking: Headers, headers: Headers) -> Asked:
    """Return what the headers of a request ask, and add to the ``headers`` of its answer."""
    name = request_id(speaking)
    headers += [(REQUEST_ID, name.encode())] if name else []
    require_plain(speaking)
    return Asked(name, seconds(speaking), version(speaking))
