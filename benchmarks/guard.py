"""What it costs to ask who calls: the guard's decision about one request, without the network and without the application.

    python -m benchmarks.guard

The smallest of many short runs, in the time of this process's own work: what others do on the machine is left out as far as it can be.
"""

import tempfile
import time
import timeit
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from treadle.identity import Identity, Keys
from treadle.serving.guard import Guard
from treadle.serving.metrics import ServingMetrics
from treadle.settings import Settings, Workspace

CALLS, RUNS = 2000, 200


async def unasked(*_: Any) -> None:
    """Stand where the spool is; the decision does not reach it."""


class Behind:
    """Stands where the application is; the decision does not reach it either."""

    def at_once(self, scope: Scope, body: bytes) -> bytes | None:
        """Answer nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer nothing."""


def scope(token: str | None) -> dict[str, Any]:
    """Return the head of a prediction as a client sends it, with a key last."""
    sent = {"host": "127.0.0.1:8000", "user-agent": "curl/8", "accept": "*/*", "content-type": "application/json", "content-length": "80"}
    shown = {"authorization": f"Bearer {token}"} if token else {}
    headers = [(name.encode(), value.encode()) for name, value in (sent | shown).items()]
    return {"type": "http", "method": "POST", "path": "/predict/iris", "headers": headers, "client": ("127.0.0.1", 5)}


def microseconds(home: Path, token: str | None) -> float:
    """Return what one decision costs about a caller who is let in."""
    place = Workspace(home, Settings(home=home))
    guard = Guard(Behind(), place, refused=ServingMetrics(CollectorRegistry()).refused, log=unasked)
    head = scope(token)
    if not isinstance(guard.admit(head), Identity):
        message = "the caller is not let in"
        raise TypeError(message)
    runs = timeit.repeat(lambda: guard.admit(head), number=CALLS, repeat=RUNS, timer=time.process_time)
    return min(runs) / CALLS * 1e6


def measured(folder: Path) -> Mapping[str, float]:
    """Return the microseconds of each kind of caller."""
    keys = {name: Keys(folder / name) for name in ("one", "many")}
    plain = keys["one"].create("plain", ["predict"])
    limited = keys["one"].create("limited", ["predict"], rate=100_000)
    for number in range(200):
        keys["many"].create(f"key-{number}", ["predict"])
    last = keys["many"].create("last", ["predict"], rate=100_000)
    return {
        "no key, on a service that asks for none": microseconds(folder / "none", None),
        "a key": microseconds(folder / "one", plain),
        "a key with a limit": microseconds(folder / "one", limited),
        "one of 201 keys, with a limit": microseconds(folder / "many", last),
    }


def main() -> None:
    """Measure, and print a row per kind of caller."""
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder))
    print("| caller | µs |\n|---|---|")
    for name, cost in found.items():
        print(f"| {name} | {cost:.1f} |")


if __name__ == "__main__":
    main()
