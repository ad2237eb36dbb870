"""Whether memory and disk stay flat: a service, its shipper and its controller under steady load, for some minutes.

    python -m benchmarks.long_run --minutes 10

It makes a workspace of its own, starts what ``treadle up`` starts but for the MLflow page, sends single rows, batches and labels, and
collects (``treadle gc``) with a retention so short that everything must level off. The first half of the run is warm-up.
"""

import argparse
import asyncio
import json
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
from sqlalchemy import func, select

import treadle
from benchmarks import house
from treadle.projects import find
from treadle.settings import Workspace
from treadle.simulation.traffic import Pace, Tally, Traffic
from treadle.simulation.world import open_world
from treadle.stack import Stack
from treadle.state.schema import events, predictions, profile_parts, segments
from treadle.state.store import Store, open_store

BLOCKS = 10
SURE = 2.896
"""How many standard errors a slope over ten blocks must have to be more than noise (one-sided, 1 %)."""
NOTHING = 0.01
"""A slope that adds less than this share of the level in an hour is no growth, however sure it is."""
MEGABYTE = 1_000_000
PROCESSES = {"worker": "treadle.serving.worker", "shipper": "treadle.serving.shipper", "controller": "treadle.cli.main"}
TABLES = {"predictions": predictions, "profile parts": profile_parts, "segments": segments, "events": events}
RECORDS = ("events", "segments")
"""They grow by design: the record stays for good, and a segment is remembered for 30 days."""


@dataclass(frozen=True)
class Trend:
    """A line through the second half of a run: ``level`` is its middle; ``slope`` and ``noise`` are per hour."""

    level: float
    slope: float
    noise: float

    @property
    def growing(self) -> bool:
        """Whether the slope is more than noise, and more than nothing."""
        return self.slope > max(self.noise, NOTHING * self.level)


def trend(times: npt.ArrayLike, values: npt.ArrayLike) -> Trend:
    """Fit a line through the means of ten blocks: within a block, saw teeth and what one sample has of the last one even out."""
    at = np.array([block.mean() for block in np.array_split(np.asarray(times, dtype=float), BLOCKS)]) / 3600
    means = np.array([block.mean() for block in np.array_split(np.asarray(values, dtype=float), BLOCKS)])
    spread = at - at.mean()
    slope = float(spread @ means / (spread @ spread))
    left = means - means.mean() - slope * spread
    error = math.sqrt(float(left @ left) / (BLOCKS - 2) / float(spread @ spread))
    return Trend(float(means.mean()), slope, SURE * error)


@dataclass
class Samples:
    """What was seen, a list per name, at the seconds ``at`` since the start."""

    at: list[float] = field(default_factory=list)
    seen: dict[str, list[float]] = field(default_factory=dict)

    def add(self, at: float, values: dict[str, float]) -> None:
        """Add one sample."""
        self.at.append(at)
        for name, value in values.items():
            self.seen.setdefault(name, []).append(value)

    def trends(self) -> dict[str, Trend]:
        """Return the trend of each, over the second half."""
        half = len(self.at) // 2
        return {name: trend(self.at[half:], values[half:]) for name, values in self.seen.items()}


class Probe:
    """Measures a workspace whose processes are children of this one."""

    def __init__(self, workspace: Workspace, store: Store) -> None:
        self._workspace = workspace
        self._store = store
        children = {child: " ".join(child.cmdline()) for child in psutil.Process().children()}
        self._processes = {name: next(child for child, line in children.items() if part in line) for name, part in PROCESSES.items()}

    def look(self) -> dict[str, float]:
        """Return memory, bytes on disk (both in MB), and rows."""
        values = {f"{name} memory": child.memory_info().rss / MEGABYTE for name, child in self._processes.items()}
        home, spool = self._workspace.home, self._workspace.spool_dir
        values["home folder"] = size(home) / MEGABYTE
        values["spool"] = size(spool) / MEGABYTE
        values["database, used"] = self._store.used_bytes() / MEGABYTE
        values["database, files"] = sum(path.stat().st_size for path in home.glob("state.db*")) / MEGABYTE
        with self._store.read() as conn:
            rows = {name: conn.execute(select(func.count()).select_from(table)).scalar_one() for name, table in TABLES.items()}
        return {**values, **{f"{name}, rows": float(count) for name, count in rows.items()}}


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder; one that goes meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


async def watch(workspace: Workspace, probe: Probe, *, seconds: float, every: float, collect_every: float) -> Samples:
    """Sample until ``seconds`` are over, and collect now and then."""
    samples, began, collected = Samples(), time.monotonic(), time.monotonic()
    while (at := time.monotonic() - began) < seconds:
        samples.add(at, await asyncio.to_thread(probe.look))
        if time.monotonic() - collected >= collect_every:
            await asyncio.to_thread(treadle.gc, workspace=workspace)
            collected = time.monotonic()
        await asyncio.sleep(max(0.0, every - (time.monotonic() - began - at)))
    return samples


async def load_and_watch(workspace: Workspace, url: str, *, seconds: float, rate: float) -> tuple[Tally, Samples]:
    """Send traffic and sample beside it."""
    project = find(workspace, house.MODEL)
    world = open_world(workspace, project, seed=house.SEED)
    traffic = Traffic(url, house.MODEL, project.contract.interface, world, Pace(rate=rate, singles=0.5, delay=1.0))
    store = open_store(workspace.store_url)
    try:
        watching = watch(workspace, Probe(workspace, store), seconds=seconds, every=seconds / 300, collect_every=max(seconds / 60, 2.0))
        tally, samples = await asyncio.gather(traffic.run(seconds), watching)
    finally:
        store.close()
    return tally, samples


def policy(seconds: float) -> dict[str, object]:
    """Return a policy by which nothing is kept, or needed, for longer than a sixth of the run."""
    window = f"{max(seconds / 6, 2):.0f}s"
    return {
        "drift": {"window": window, "min_rows": 100},
        "quality": {"window": window, "min_rows": 50},
        "labels": {"maturity": "1s", "expire": window},
        "retention": {"log": window, "runs": window},
    }


def table(trends: dict[str, Trend], *, judged: bool = True) -> str:
    """Return the trends as a table of Markdown; without a verdict where the run was too short for one."""
    lines = ["| what | level | slope per hour | noise of the slope | verdict |", "|---|---|---|---|---|"]
    for name, one in trends.items():
        unit, digits = ("", 0) if name.endswith("rows") else (" MB", 1)
        verdict = "growing" if one.growing else "flat"
        if name.removesuffix(", rows") in RECORDS:
            verdict = "grows by design"
        verdict = verdict if judged else "too short"
        figures = (f"{one.level:,.{digits}f}{unit}", f"{one.slope:+,.{digits}f}{unit}", f"± {one.noise:,.{digits}f}{unit}")
        lines.append(f"| {name} | {' | '.join(figures)} | {verdict} |")
    return "\n".join(lines)


def run(folder: Path, *, seconds: float, rate: float, registered: bool) -> tuple[Tally, Samples]:
    """Run for so many seconds in an empty folder."""
    settings: dict[str, house.Setting] = {
        "workers": 1,
        "retraining": False,
        "profile_seconds": 2,
        "segment_mb": 0.25,
        "controller_seconds": 2,
    }
    workspace = house.make(folder, settings, policy(seconds))
    (house.deploy_registered if registered else house.deploy_sealed)(workspace)
    with Stack(workspace, print, tracking=False) as stack:
        tally, samples = asyncio.run(load_and_watch(workspace, stack.addresses.api, seconds=seconds, rate=rate))
    return tally, samples


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print the table, and return 1 where something grows or a request has failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_run", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (10)")
    parser.add_argument(
        "--rate", type=float, default=30.0, help="rows per second (30); the machine must hold it, or what is kept varies with it"
    )
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it runs: too short for a verdict")
    parser.add_argument("--samples", type=Path, help="file that all samples are written to, as JSON")
    given = parser.parse_args(argv)
    seconds = 6.0 if given.quick else 60 * given.minutes
    with tempfile.TemporaryDirectory(prefix="treadle-long-run-") as folder:
        tally, samples = run(Path(folder), seconds=seconds, rate=given.rate, registered=not given.quick)
    if given.samples is not None:
        given.samples.write_text(json.dumps({"seconds": samples.at, **samples.seen}), encoding="utf-8")
    trends = samples.trends()
    print(f"\n{tally.rows} rows in {tally.requests} requests, {tally.labels} labels, {tally.failed} failed; {seconds:.0f} s")
    print(f"{tally.rows / seconds:.0f} rows per second of {given.rate:.0f} that were asked for\n")
    print(table(trends, judged=not given.quick))
    grown = [name for name, one in trends.items() if one.growing and name.removesuffix(", rows") not in RECORDS]
    if given.quick:
        print("\nverdict: none, the run was too short")
        return int(tally.failed > 0)
    print(f"\nverdict: {'growing: ' + ', '.join(grown) if grown else 'flat'}")
    return int(bool(grown) or tally.failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
