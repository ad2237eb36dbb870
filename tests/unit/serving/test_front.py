"""What is answered before FastAPI is there, and how what it does is made later."""

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests import small_bundles
from tests.small_service import Service
from treadle.serving.app import create_routes
from treadle.serving.front import Front, Later
from treadle.serving.schemas import Health, Ready

LATE = ["fastapi", "treadle.registry", "treadle.serving.app", "sqlalchemy.dialects.postgresql", "rich", "typer"]


def get(app: ASGIApp, *paths: str) -> list[httpx.Response]:
    """Ask for paths, all at the same time."""

    async def asked() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://treadle") as client:
            return list(await asyncio.gather(*map(client.get, paths)))

    return asyncio.run(asked())


def lived(front: Front) -> list[str]:
    """Return what a server is told that starts the application and stops it."""
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(front({"type": "lifespan"}, receive, send))
    return sent


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError(scope)


def test_a_worker_loads_only_what_its_first_answer_needs() -> None:
    code = f"import sys, treadle.serving.worker; print([name for name in {LATE} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("state", ["nothing", "ready", "refused"])
def test_the_probes_are_answered_as_they_are_described(service: Service, state: str) -> None:
    if state == "ready":
        service.follow(service.slot(small_bundles.answering(), 1))
    elif state == "refused":
        service.follow(service.slot(b"no graph", 1))
    behind = create_routes(service.inference, service.registry)

    answers = get(Front(nowhere, service.inference), "/health", "/ready")
    described = get(behind, "/health", "/ready")

    assert [one.status_code for one in answers] == [200, 200 if state == "ready" else 503]
    Health.model_validate_json(answers[0].content, strict=True)
    told = Ready.model_validate_json(answers[1].content, strict=True)
    assert (told.ready, bool(told.missing), bool(told.refused)) == (state == "ready", state != "ready", state == "refused")
    assert [(one.status_code, one.content, one.headers) for one in answers] == [
        (one.status_code, one.content, one.headers) for one in described
    ]


def test_only_reading_of_the_probes_is_answered_before() -> None:
    paths: list[str] = []

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(f"{scope['method']} {scope['path']}")
        await PlainTextResponse("behind")(scope, receive, send)

    async def asked() -> None:
        front = Front(behind, None)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://treadle") as client:
            await client.post("/ready")
            await client.head("/health")
            await client.get("/ready/")

    asyncio.run(asked())
    assert paths == ["POST /ready", "HEAD /health", "GET /ready/"]


def test_a_life_begins_and_ends_with_the_application() -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def life(_app: object) -> AsyncIterator[None]:
        steps.append("begun")
        yield
        steps.append("ended")

    assert lived(Front(nowhere, None, lifespan=life)) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]  # type: ignore[arg-type]
    assert steps == ["begun", "ended"]


def test_what_comes_later_is_made_once_in_a_thread_for_all_who_ask() -> None:
    made: list[str] = []

    def make() -> ASGIApp:
        made.append(threading.current_thread().name)
        return PlainTextResponse("here")

    later = Later(make)
    assert made == []
    assert [one.text for one in get(later, "/a", "/b", "/c")] == ["here"] * 3
    assert later.begin().result() is not None
    assert [one.text for one in get(later, "/d")] == ["here"]
    assert made == ["later_0"]


def test_what_cannot_be_made_is_an_answer_and_stands_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def make() -> ASGIApp:
        raise ImportError("no module named fastapi")

    with caplog.at_level(logging.ERROR):
        (answer,) = get(Later(make), "/models")
    assert answer.status_code == 500
    assert answer.json()["error"]["what"] == "The server failed on this request."
    assert "no module named fastapi" in caplog.text
