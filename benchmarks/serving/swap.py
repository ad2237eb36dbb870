"""What callers notice of a swap: the slowest answers of the second around it, beside those of quiet seconds.

    python -m benchmarks.serving.swap

One worker answers a steady load while the deployment goes back and forth between two versions of iris, each time to one that is not loaded.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import house
from benchmarks.serving import environments, goals, machine, page, processes, results, scale
from benchmarks.serving.goals import Goal
from benchmarks.serving.measure import Cores
from benchmarks.serving.model import Floats
from benchmarks.serving.service import Question, ServiceFailedError, request_files, served
from treadle.registry import promotion
from treadle.settings import Workspace
from treadle.state.store import open_store

COMMAND = "benchmarks.serving.swap"
CLIENTS = 4
RATE = 400
"""Requests per second: so few that a core which is shared with something else for a while still has time for all of them."""
HALF = 0.5
AWAY = 1.0
"""Seconds from a swap in which no second counts as steady."""
NICENESS = 10
SENT, THERE, VERSION, STATUS = range(4)
"""The columns of what the pacer has seen."""
P99 = Goal("p99 in the second around a swap, x steady", 1.5)
FAILED = Goal("failed requests", 0)


@dataclass(frozen=True)
class Swap:
    """One swap: when the first answer of the new version was there, p99 (seconds) around it, and that of the steady seconds beside it."""

    at: float
    around: float
    steady: float

    @property
    def ratio(self) -> float:
        """How much slower the slowest answers were."""
        return self.around / self.steady


def p99(seen: Floats, begin: float, end: float) -> float:
    """Return the 99th percentile of the seconds that the answers of a stretch of time took."""
    within = seen[(seen[:, THERE] >= begin) & (seen[:, THERE] < end)]
    if not len(within):
        raise ServiceFailedError("nothing was answered in a whole second.")
    return float(np.quantile(within[:, THERE] - within[:, SENT], 0.99))


def moments(seen: Floats, versions: Sequence[int]) -> list[float]:
    """Return when the first answer of each of these versions was there, one after the other.

    Raises:
        ServiceFailedError: one of them never answered.
    """
    found: list[float] = []
    for version in versions:
        later = seen[(seen[:, THERE] > (found[-1] if found else 0.0)) & (seen[:, VERSION] == version)]
        if not len(later):
            raise ServiceFailedError(
                f"version {version} never answered after {len(found)} swaps: perhaps the next one came before it was loaded."
            )
        found.append(float(later[:, THERE].min()))
    return found


def steady(seen: Floats, begin: float, end: float) -> list[float]:
    """Return the p99 of each whole second between two swaps, far enough from both."""
    count = int(end - AWAY - (begin + AWAY))
    return [p99(seen, begin + AWAY + number, begin + AWAY + number + 1) for number in range(count)]


def swaps(seen: Floats, versions: Sequence[int], begin: float, end: float) -> list[Swap]:
    """Return each swap to one of these versions, with the steady seconds before and after it; the load ran from ``begin`` to ``end``."""
    times = moments(seen, versions)
    quiet = [steady(seen, before, after) for before, after in zip([begin, *times], [*times, end], strict=True)]
    return [
        Swap(at, p99(seen, at - HALF, at + HALF), float(np.median([*quiet[number], *quiet[number + 1]]))) for number, at in enumerate(times)
    ]


def failed(seen: Floats) -> int:
    """Return how many answers were none."""
    return int((seen[:, STATUS] != 200).sum())


def two_versions(workspace: Workspace) -> list[Question]:
    """Train two versions, and deploy them one after the other, as generations 1 and 2. Return rows with what the second answers."""
    first, second = house.seal(workspace, seed=1), house.seal(workspace, seed=2)
    house.deploy(workspace, {house.MODEL: first.bundle.digest}, version=1)
    house.deploy(workspace, {house.MODEL: second.bundle.digest}, version=2)
    return scale.questions(workspace, second)


def measure(folder: Path, cores: Cores, *, number: int, spacing: float) -> tuple[Floats, list[int], float, float]:
    """Load a service and swap under the load, ``number`` times.

    Return the answers [n, 4] (see the columns), the versions that came, and when the load began and ended.
    """
    workspace = house.make(folder / "workspace", {})
    questions = two_versions(workspace)
    generations = [1 if turn % 2 == 0 else 2 for turn in range(number)]
    with served(workspace, folder, {cores.server}) as service:
        service.ready()
        service.ask(questions, len(questions))
        files = request_files(questions, service.address, folder / "requests")
        with subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.serving.pace", str(service.port), str(folder / "seen.npy"), *map(str, files)),
                *("--rate", str(RATE), "--clients", str(CLIENTS)),
            ],
            cwd=environments.REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, {cores.load}),  # noqa: PLW1509 (one call into the kernel)
        ) as pacer:
            # What deploys has the core of the load too, and must not hold that up.
            os.nice(NICENESS)
            time.sleep(AWAY)
            store = open_store(workspace.store_url)
            began = time.monotonic()
            for generation in generations:
                time.sleep(spacing)
                promotion.rollback(workspace, store, house.MODEL, reason="a benchmark", at=time.time(), to=generation)
            time.sleep(spacing)
            ended = time.monotonic()
            store.close()
            pacer.communicate()
        if pacer.returncode:
            raise ServiceFailedError("the load has ended by itself.")
        if number % 2 == 0:
            service.ask(questions, len(questions))
    # The version of each generation has its number.
    return np.load(folder / "seen.npy"), generations, began, ended


def table(found: Sequence[Swap]) -> str:
    """Return the medians of the swaps with their range, as Markdown."""
    spreads = [
        ("steady seconds: p99 ms", results.spread(one.steady for one in found), results.milliseconds),
        ("second around a swap: p99 ms", results.spread(one.around for one in found), results.milliseconds),
        ("ratio", results.spread(one.ratio for one in found), results.times),
    ]
    return "\n".join(
        results.grid((f"{len(found)} swaps", "median (range)"), [(name, spread.text(form)) for name, spread, form in spreads if spread])
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the table. The exit code is 1 where a request has failed; then no page is written."""
    parser = argparse.ArgumentParser(prog=f"python -m {COMMAND}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two swaps, soon after one another")
    parser.add_argument("--swaps", type=int, help="swaps (10; with --quick 2)")
    parser.add_argument("--spacing", type=float, help="seconds between two swaps, more than 3 (5; with --quick 3.5)")
    parser.add_argument("--write", action="store_true", help=f"also write {page.PAGE.name}")
    given = parser.parse_args(argv)
    number, spacing = given.swaps or (2 if given.quick else 10), given.spacing or (3.5 if given.quick else 5.0)
    cores = Cores.choose()
    processes.adopt_orphans()
    facts = machine.facts(f"service on core {cores.server}, load and whoever deploys on core {cores.load}")
    with tempfile.TemporaryDirectory(prefix="swap-") as folder:
        seen, versions, began, ended = measure(Path(folder), cores, number=number, spacing=spacing)
    found, lost = swaps(seen, versions, began, ended), failed(seen)
    middle = float(np.median([one.ratio for one in found]))
    notes = [
        f"- {len(seen):,} requests of one row at {RATE:,} a second over {CLIENTS} connections, {lost} failed; a swap every {spacing:g} s",
        *facts,
    ]
    text = "\n\n".join((table(found), goals.table([(P99, middle), (FAILED, lost)]), "\n".join(notes)))
    page.tell(COMMAND, text, write=given.write and not lost)
    if lost:
        print("FAILED: a request was not answered.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
