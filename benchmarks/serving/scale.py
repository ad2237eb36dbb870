"""Whether two workers answer twice as much as one.

    python -m benchmarks.serving.scale

With four cores or more, the load has one of them and the service up to three: then the ratio of the rates is measured. With fewer, load
and service share all of them, and what is measured is the CPU time that a row costs at one and at two workers: as long as it stays the
same, workers do not get in each other's way.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks import house
from benchmarks.serving import goals, load, machine, page, processes, results, small
from benchmarks.serving.goals import Goal
from benchmarks.serving.service import KINDS, Question, request_files, served
from treadle.data.sources import fetch
from treadle.projects import find
from treadle.settings import Workspace
from treadle.training.pipeline import scores_of
from treadle.training.train import Trained

COMMAND = "benchmarks.serving.scale"
ENOUGH = 4
"""From so many cores on, two workers and the shipper have a core each beside the load."""
CLIENTS = 32
QUESTIONS = 100
WARM_SECONDS = 1
MICROSECOND = 1e-6
RATE = Goal("rows per second, 2 workers x 1 worker", 1.8, most=False)
COST = Goal("rows that two workers would answer on two free cores, by CPU time, x 1 worker", 1.8, most=False)


Figure = Literal["rate", "worker", "shipper", "busiest"]


@dataclass(frozen=True)
class Round:
    """One load: answers per second, the CPU seconds per row of all workers together and of the shipper, and the busiest worker's share."""

    rate: float
    worker: float
    shipper: float
    busiest: float

    def figure(self, name: Figure) -> float:
        """Return a figure by its name."""
        figures: dict[Figure, float] = {"rate": self.rate, "worker": self.worker, "shipper": self.shipper, "busiest": self.busiest}
        return figures[name]


def questions(workspace: Workspace, made: Trained, count: int = QUESTIONS) -> list[Question]:
    """Return rows of the data set, with the scores that the fitted pipeline itself has for them."""
    project = find(workspace, house.MODEL)
    interface = project.contract.interface
    exact = fetch(project, workspace, seed=house.SEED).frame[list(interface.feature_names)].drop_duplicates().to_numpy(np.float64)[:count]
    scores = scores_of(made.fitted.pipeline, interface, exact.astype(np.float32))
    return [
        Question(house.MODEL, interface, dict(zip(interface.feature_names, map(float, row), strict=True)), scores[number])
        for number, row in enumerate(exact)
    ]


def cores_of(free: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the cores of the service and those of the load: apart where there are enough, else all of them for both."""
    ordered = sorted(free)
    return (ordered[-3:], ordered[:1]) if len(ordered) >= ENOUGH else (ordered, ordered)


def measure(made: Trained, asked: Sequence[Question], folder: Path, *, workers: int, seconds: int) -> Round:
    """Start a service with so many workers, see that it answers right, load it, and count what that took."""
    workspace = house.make(folder / "workspace", {}, projects=[house.MODEL])
    house.deploy(workspace, {house.MODEL: small.store(made.bundle, workspace)})
    server, client = cores_of(list(os.sched_getaffinity(0)))
    with served(workspace, folder, server, workers=workers) as service:
        service.ready()
        service.ask(asked, len(asked))
        url, files = f"{service.address}{asked[0].path}", request_files(asked, service.address, folder)
        load.run(url, files, clients=CLIENTS, seconds=WARM_SECONDS, cores=client)
        before = {kind: service.seconds(kind) for kind in KINDS}
        done = load.run(url, files, clients=CLIENTS, seconds=seconds, cores=client)
        used = {kind: [spent - before[kind].get(pid, 0.0) for pid, spent in service.seconds(kind).items()] for kind in KINDS}
    worker, shipper = (sum(used[kind]) / done.answers for kind in KINDS)
    return Round(done.rate, worker, shipper, max(used["worker"]) / max(sum(used["worker"]), MICROSECOND))


def median(rounds: Sequence[Round], name: Figure) -> float:
    """Return the median of a figure over some rounds."""
    return statistics.median(one.figure(name) for one in rounds)


def ratio(found: Mapping[int, Sequence[Round]], name: Figure) -> float:
    """Return a figure at two workers as a multiple of that at one, the median of the rounds."""
    return statistics.median(two.figure(name) / one.figure(name) for one, two in zip(found[1], found[2], strict=True))


def table(found: Mapping[int, Sequence[Round]]) -> str:
    """Return the medians as Markdown: rows per second, microseconds of CPU per row, and how evenly the workers share the work."""
    lines = [
        (
            str(workers),
            results.whole(median(rounds, "rate")),
            results.times(median(rounds, "worker") / MICROSECOND),
            results.times(median(rounds, "shipper") / MICROSECOND),
            f"{median(rounds, 'busiest'):.0%}",
        )
        for workers, rounds in found.items()
    ]
    head = ("workers", "rows/s", "workers: µs of CPU per row", "shipper: µs of CPU per row", "of the work, the busiest worker")
    return "\n".join(results.grid(head, lines))


def held(found: Mapping[int, Sequence[Round]], *, apart: bool) -> list[tuple[Goal, float]]:
    """Return the goal with what was found: by the rates where the load has a core of its own, else by CPU time."""
    return [(RATE, ratio(found, "rate"))] if apart else [(COST, 2 / ratio(found, "worker"))]


def how(*, apart: bool) -> str:
    """Say which of the two was measured, as a line of Markdown."""
    if apart:
        return "- the load has a core of its own and the service three: the ratio of the rates is measured"
    return (
        "- load and service share all cores, for there are fewer than four: the rates say nothing about scaling. "
        "Measured is what a row costs; two workers on two free cores would answer twice the rows per CPU second"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog=f"python -m {COMMAND}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, help="rounds (5; with --quick 1)")
    parser.add_argument("--seconds", type=int, help="whole seconds of a load (8; with --quick 1)")
    parser.add_argument("--write", action="store_true", help=f"also write {page.PAGE.name}")
    given = parser.parse_args(argv)
    number, seconds = given.rounds or (1 if given.quick else 5), given.seconds or (1 if given.quick else 8)
    load.wrk()
    processes.adopt_orphans()
    server, client = cores_of(list(os.sched_getaffinity(0)))
    apart = server != client
    facts = machine.facts(f"service on cores {', '.join(map(str, server))}, wrk on {', '.join(map(str, client))}")
    found: dict[int, list[Round]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        workspace = house.make(Path(folder) / "training", {})
        made = house.seal(workspace)
        asked = questions(workspace, made)
        for turn in range(number):
            # Who comes first changes from round to round.
            for workers in (1, 2) if turn % 2 == 0 else (2, 1):
                one = measure(made, asked, Path(folder) / f"{turn}-{workers}", workers=workers, seconds=seconds)
                found[workers].append(one)
                print(f"{workers} workers: {one.rate:,.0f} rows/s, {one.worker / MICROSECOND:.1f} µs of CPU per row", flush=True)
    notes = [how(apart=apart), f"- {number} rounds of {seconds} s, {CLIENTS} clients, one row each; the median", *facts]
    text = "\n\n".join((table(found), goals.table(held(found, apart=apart)), "\n".join(notes)))
    page.tell(COMMAND, text, write=given.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
