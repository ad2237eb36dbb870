"""The routes that callers wait for, straight on ASGI: what a framework does around one prediction costs more than the model.

Every other path goes on to the application behind.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from treadle.engine.table import Table
from treadle.errors import TreadleError
from treadle.serving import tensors
from treadle.serving.inference import Asked, Inference
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

PREDICT, LABELS, BATCH = "/predict/", "/labels/", "/batch"
JSON = (b"content-type", b"application/json")
SPEAKING = frozenset({REQUEST_ID, ENCODING, DEADLINE, VERSION, tensors.HEADER})
"""Headers that change an answer; most requests have none of them."""

Answer = tuple[HTTPStatus, bytes]
Work = Callable[[str, object, Asked], Awaitable[Answer]]

logger = logging.getLogger(__name__)


class HotPath:
    """Answers ``POST /predict/{model}``, its ``/batch``, and ``POST /labels/{model}``."""

    def __init__(self, app: ASGIApp, inference: Inference, *, clock: Callable[[], float] = time.time) -> None:
        self.app = app
        self._inference = inference
        self._clock = clock

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
        try:
            status, answer = await self._answer(work, model, scope, receive, headers)
        except TreadleError as error:
            known = model if model in self._inference.routes.tables else ""
            status, answer = status_of(error), msgspec.json.encode(body_of(error, known))
            headers += [(key.lower().encode(), value.encode()) for key, value in (headers_of(error) or {}).items()]
        except (ClientDisconnect, Abandoned):
            return
        except Exception:
            logger.exception("%s failed on a request", scope["path"])
            status, answer = HTTPStatus.INTERNAL_SERVER_ERROR, msgspec.json.encode(told(*FAILED))
        headers.append((b"content-length", b"%d" % len(answer)))
        await send({"type": "http.response.start", "status": status.value, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _answer(self, work: Work, model: str, scope: Scope, receive: Receive, headers: list[tuple[bytes, bytes]]) -> Answer:
        """Return status and body, and add to the ``headers`` of the answer."""
        if scope["method"] != "POST":
            headers.append((b"allow", b"POST"))
            return HTTPStatus.METHOD_NOT_ALLOWED, msgspec.json.encode(unrouted(scope, "Method Not Allowed"))
        asked = Asked(gone=partial(left, receive))
        if speaking := [one for one in scope["headers"] if one[0] in SPEAKING]:
            name = request_id(speaking)
            headers += [(REQUEST_ID, name.encode())] if name else []
            require_plain(speaking)
            asked = Asked(name, seconds(speaking), version(speaking), asked.gone)
            head = tensors.head_length(speaking) if work == self._batch else None
            if head is not None:
                return await self._tensors(model, tensors.table(await read(receive), head), asked, headers)
        return await work(model, decoded(await read(receive)), asked)

    async def _predict(self, model: str, content: object, asked: Asked) -> Answer:
        return HTTPStatus.OK, await self._inference.predict(model, content, asked)

    async def _batch(self, model: str, content: object, asked: Asked) -> Answer:
        answered = await self._inference.predict_batch(model, member(content, "rows"), asked)
        return HTTPStatus.OK, msgspec.json.encode({"predictions": answered.told()})

    async def _tensors(self, model: str, rows: Table, asked: Asked, headers: list[tuple[bytes, bytes]]) -> Answer:
        head, body = tensors.answer(await self._inference.predict_batch(model, rows, asked))
        headers[0] = tensors.BINARY
        headers.append((tensors.HEADER, b"%d" % len(head)))
        return HTTPStatus.OK, head + body

    async def _labels(self, model: str, content: object, _asked: Asked) -> Answer:
        count = await accept(self._inference, model, member(content, "labels"), now=self._clock())
        return HTTPStatus.ACCEPTED, msgspec.json.encode({"accepted": count, "note": QUEUED})
