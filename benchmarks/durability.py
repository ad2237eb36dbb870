"""What it costs that a logged prediction survives the machine: ``durability = process`` against ``host``, in turns on one machine.

    python -m benchmarks.durability

Two services answer with the same bundle, each by one worker; rounds of load go to the one and to the other in turn. The more callers
wait together, the more of them share one fsync.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks import house
from treadle.stack import Stack

KINDS = ("process", "host")
ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


@dataclass(frozen=True)
class Round:
    """What some callers got in one round: answers per second, and two quantiles of the seconds that one took."""

    rate: float
    p50: float
    p99: float


def request(url: str) -> bytes:
    """Return the bytes of one request."""
    body = json.dumps(ROW).encode()
    head = f"POST /predict/{house.MODEL} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def call(url: str, until: float) -> list[float]:
    """Ask again and again on one connection; return the seconds that each answer took. A plain socket costs little beside the service."""
    address, asked, took = urlsplit(url), request(url), []
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        while (began := time.perf_counter()) < until:
            writer.write(asked)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"A request failed, so nothing was measured: {head.decode()}")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            took.append(time.perf_counter() - began)
    finally:
        writer.close()
    return took


async def measure(url: str, callers: int, seconds: float) -> Round:
    """Let so many callers ask at once."""
    began = time.perf_counter()
    each = await asyncio.gather(*(call(url, began + seconds) for _ in range(callers)))
    took = np.concatenate([np.array(one) for one in each])
    p50, p99 = np.quantile(took, [0.5, 0.99]).tolist()
    return Round(len(took) / (time.perf_counter() - began), p50, p99)


def compare(urls: dict[str, str], callers: int, *, rounds: int, seconds: float) -> dict[str, list[Round]]:
    """Measure both kinds in turn, ``rounds`` times; who comes first changes from round to round."""
    found: dict[str, list[Round]] = {kind: [] for kind in KINDS}
    for number in range(rounds):
        for kind in KINDS if number % 2 else reversed(KINDS):
            found[kind].append(asyncio.run(measure(urls[kind], callers, seconds)))
    return found


def line(callers: int, found: dict[str, list[Round]]) -> str:
    """Return one line of the table: both kinds in figures, and host to process as ratios, the median of the rounds and their range."""
    figures = []
    for kind in KINDS:
        rate, p50, p99 = (statistics.median(getattr(one, name) for one in found[kind]) for name in ("rate", "p50", "p99"))
        figures.append(f"{rate:,.0f}/s, {1000 * p50:.2f} ms, {1000 * p99:.2f} ms")
    pairs = list(zip(found["process"], found["host"], strict=True))
    for name in ("rate", "p50", "p99"):
        ratios = sorted(getattr(host, name) / getattr(process, name) for process, host in pairs)
        figures.append(f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    return f"| {callers} | {' | '.join(figures)} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.durability", description=__doc__)
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 4, 16], help="how many ask at once (1 4 16)")
    parser.add_argument("--rounds", type=int, default=6, help="rounds per kind (6)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a round (4)")
    parser.add_argument("--folder", type=Path, help="where the spools lie, and so which disk is measured; else that of temporary files")
    parser.add_argument("--quick", action="store_true", help="two short rounds, to see that it runs")
    given = parser.parse_args(argv)
    callers, rounds, seconds = ([4], 2, 0.5) if given.quick else (given.callers, given.rounds, given.seconds)
    with tempfile.TemporaryDirectory(prefix="treadle-durability-", dir=given.folder) as folder, ExitStack() as running:
        urls = {}
        first = house.make(Path(folder) / "first", {})
        house.deploy_sealed(first)
        for kind in KINDS:
            workspace = house.like(first, Path(folder) / kind, {"workers": 1, "durability": kind})
            stack = running.enter_context(Stack(workspace, print, controller=False, tracking=False))
            urls[kind] = stack.addresses.api
            asyncio.run(measure(urls[kind], 4, min(seconds, 2)))
        print("\n| callers | process: answers, p50, p99 | host: answers, p50, p99 | host/process: answers | p50 | p99 |")
        print("|---|---|---|---|---|---|")
        for count in callers:
            print(line(count, compare(urls, count, rounds=rounds, seconds=seconds)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
