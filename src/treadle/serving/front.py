"""What a worker answers by itself beside the hot path: whether it lives, and whether it is ready. Every other route is made later.

To load FastAPI and to build its routes takes as long as everything else that a worker does before its first answer, and nobody who waits
for a prediction needs them. So they are made in a thread, once the worker answers; whoever asks for one of them before waits for it.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse
from starlette.routing import Router
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from treadle import __version__
from treadle.errors import RequestInvalid
from treadle.serving.inference import Inference
from treadle.serving.loaded import Refusal, Routes
from treadle.serving.request import REQUEST_ID, request_id
from treadle.serving.status import FAILED, body_of, status_of, told
from treadle.serving.tracing import OFF, Tracing

PAGE_HEADERS = [(b"content-security-policy", b"frame-ancestors 'none'"), (b"referrer-policy", b"no-referrer")]
"""How a page may be shown. No answer of the hot path is one, and there each header would take a microsecond."""

logger = logging.getLogger(__name__)


class Front:
    """Answers ``GET /health`` and ``GET /ready``, lives as ``lifespan`` says, and hands everything else on to ``app``."""

    def __init__(self, app: ASGIApp, inference: Inference, *, lifespan: Lifespan[Any] | None = None) -> None:
        self.app = app
        self._inference = inference
        self._live = Router(lifespan=lifespan).lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        asked = (scope["method"], scope["path"]) if scope["type"] == "http" else None
        if asked == ("GET", "/health"):
            app: ASGIApp = health()
        elif asked == ("GET", "/ready"):
            app = ready(self._inference.routes)
        else:
            app = self.app
        await app(scope, receive, send)


def health() -> JSONResponse:
    """Return the answer that this process lives."""
    return JSONResponse({"status": "ok", "worker": os.getpid(), "treadle": __version__})


def ready(routes: Routes) -> JSONResponse:
    """Return the answer whether every deployed model can be asked: 200, or 503 with what is missing."""
    missing = routes.missing
    content = {
        "ready": not missing,
        "missing": missing,
        "generations": {name: table.generation for name, table in routes.tables.items()},
        "refused": {name: refused(refusal) for name, refusal in routes.refused.items()},
        "trouble": routes.trouble,
    }
    return JSONResponse(content, HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK)


def refused(refusal: Refusal) -> dict[str, Any]:
    """Return what is told of a generation that could not be loaded."""
    return {"generation": refusal.generation, "reason": refusal.reason}


class Later:
    """An application that is made in a thread: when ``begin`` is called, or for the first request, whichever comes first."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._made: Future[ASGIApp] | None = None

    def begin(self) -> "Future[ASGIApp]":
        """Begin to make it, where nobody has begun; return what it will be in."""
        if self._made is None:
            thread = ThreadPoolExecutor(1, thread_name_prefix="later")
            self._made = thread.submit(self._make)
            thread.shutdown(wait=False)
        return self._made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, once the application is there."""
        try:
            app = await asyncio.shield(asyncio.wrap_future(self.begin()))
        except Exception:
            logger.exception("The routes behind the predictions could not be made.")
            app = JSONResponse(told(*FAILED), HTTPStatus.INTERNAL_SERVER_ERROR)
        await app(scope, receive, send)


class RequestIds:
    """Takes the caller's X-Request-ID, refuses one that could not be logged, and sends it back with every answer.

    A caller's trace goes on in the same way. None is begun here: of these routes most calls are scrapes and probes.
    """

    def __init__(self, app: ASGIApp, tracing: Tracing = OFF) -> None:
        self.app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        try:
            name = request_id(scope.get("headers", ()))
        except RequestInvalid as error:
            await JSONResponse(body_of(error), status_of(error))(scope, receive, send)
            return

        trace = self._tracing.joined(scope.get("headers", ()))
        more = [*([(REQUEST_ID, name.encode())] if name else []), *(trace.headers if trace else [])]
        status: HTTPStatus | None = None

        async def echo(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = HTTPStatus(message["status"])
                message["headers"] = [*message["headers"], *PAGE_HEADERS, *more]
            await send(message)

        try:
            await self.app(scope, receive, echo)
        finally:
            if trace is not None:
                trace.end(scope.get("method", ""), status, {"url.path": scope["path"]})
