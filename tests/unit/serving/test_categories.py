"""What a caller who leaves costs, that a version has run before it answers, and that memory does not grow.

docs/architecture/serving.md lists where every other category has its test.
"""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from tests import small_bundles
from tests.small_bundles import ROW
from tests.small_service import Service
from treadle.engine.session import Engine, Single


def test_a_caller_who_closes_the_connection_ends_the_run_of_a_slow_model(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.follow(service.slot(small_bundles.slow(), 1))
    ended: list[str] = []
    begun, over = threading.Event(), threading.Event()
    real = Engine.run

    def run(engine: Engine, *given: Any) -> NDArray[np.float32]:
        begun.set()
        try:
            scores = real(engine, *given)
            ended.append("whole")
        except Exception:
            ended.append("halted")
            raise
        finally:
            over.set()
        return scores

    monkeypatch.setattr(Engine, "run", run)
    body = msgspec.json.encode({"rows": [ROW] * 1000})
    sent: list[Any] = []

    async def asked() -> None:
        messages: list[dict[str, Any]] = [{"type": "http.disconnect"}, {"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if len(messages) == 1:
                await asyncio.to_thread(begun.wait)
            return messages.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/predict/churn/batch", "headers": [], "client": ("127.0.0.1", 1)}
        await service.app(scope, receive, send)
        await asyncio.to_thread(over.wait)

    asyncio.run(asked())

    assert ended == ["halted"]
    assert (sent, service.predictions()) == ([], [])


def test_a_version_has_run_before_anybody_can_be_answered_by_it(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: dict[str, list[bool]] = {"Engine": [], "Single": []}

    def watched(kind: type[Engine | Single]) -> None:
        real = kind.run

        def run(*given: Any) -> Any:
            runs[kind.__name__].append("churn" in service.inference.routes.tables)
            return real(*given)

        monkeypatch.setattr(kind, "run", run)

    watched(Engine)
    watched(Single)
    service.follow(service.slot(small_bundles.answering(), 1))

    # Of the many rows at once, and of the one.
    assert all(runs.values())
    assert not any(map(any, runs.values())), "it ran while it could be asked already"
    before = len(runs["Single"])
    assert service.ask("GET", "/ready").status_code == 200
    assert service.ask("POST", "/predict/churn", json=ROW).status_code == 200
    assert len(runs["Single"]) == before + 1


GROWTH = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
import psutil
from tests import small_bundles
from tests.small_service import Service

leak, requests, swaps = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
service, process, kept = Service(Path(sys.argv[1])), psutil.Process(), []
body = b'{"tenure":2,"spend":30.5,"customer":"c-1"}'
scope = {"type": "http", "method": "POST", "path": "/predict/churn", "headers": [], "client": ("127.0.0.1", 1)}

async def send(message):
    assert message.get("status", 200) == 200, message

async def ask(count):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}
    for number in range(count):
        await service.app(dict(scope), receive, send)
        if leak == "requests":
            kept.append(bytearray(b'x' * 12_000))

def swap(number):
    # Each version holds four megabytes of weights, and is another one than all before it.
    service.follow(service.slot(small_bundles.answering(number / 1000), number))
    service.follow(service.slot(small_bundles.slow(number % 2 + 1), number + 1000))
    if leak == "swaps":
        kept.append(dict(service.inference.routes.loaded))

def work(first):
    for number in range(first, first + swaps):
        swap(number)
    service.follow(service.slot(small_bundles.answering(), 5000 + first))
    asyncio.run(ask(requests))

work(1)
before = process.memory_info().rss
work(1 + swaps)
print(process.memory_info().rss - before)
service.close()
"""

BOUND = 25_000_000
"""Bytes: what a process may be larger by, after as much work again; from one run to the next it is some millions more or less."""


def growth(folder: Path, leak: str, *, requests: int = 5000, swaps: int = 7) -> int:
    """Return the bytes by which a worker's parts have grown in one process of their own."""
    folder.mkdir()
    factor = int(os.environ.get("TREADLE_TEST_GROWTH", "1"))
    command = [sys.executable, "-c", GROWTH, str(folder), leak, str(requests * factor), str(swaps * factor)]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_memory_stays_over_many_requests_and_swaps_and_a_leak_of_either_would_be_seen(tmp_path: Path) -> None:
    seen = {leak: growth(tmp_path / leak, leak) for leak in ("none", "requests", "swaps")}

    assert seen["none"] < BOUND, seen
    assert min(seen["requests"], seen["swaps"]) > BOUND, seen
