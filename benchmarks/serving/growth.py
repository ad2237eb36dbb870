"""How latency and memory grow: with the rows of a batch, the features of a model, and the models of a service.

    python -m benchmarks.serving.growth

One worker on one core, one client on another, for each point a service of its own.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import house
from benchmarks.serving import growth_picture, load, machine, page, processes, results, scale, small
from benchmarks.serving.goals import MEGABYTE
from benchmarks.serving.growth_picture import Point
from benchmarks.serving.measure import Cores
from benchmarks.serving.service import Question, request_files, served
from treadle.settings import Workspace
from treadle.training.train import Trained

COMMAND = "benchmarks.serving.growth"
PICTURE = page.ASSETS / "growth.svg"
WARM_SECONDS = 1
WHAT = {"rows": "rows of a batch", "features": "features of a linear model", "models": "models, asked in turn"}
SIZES: Mapping[str, Sequence[int]] = {"rows": (1, 10, 100, 1000), "features": (4, 16, 64, 256, 1000), "models": (1, 2, 5, 10, 20, 50)}
QUICK: Mapping[str, Sequence[int]] = {"rows": (10,), "features": (16,), "models": (2,)}


@dataclass(frozen=True)
class Case:
    """Something that is served and asked: what makes its deployment, and gives the questions; ``batch`` rows a request, 0: a single row."""

    deploy: Callable[[Workspace], Sequence[Question]]
    batch: int = 0


def cases(made: Trained, asked: Sequence[Question]) -> dict[str, Callable[[int], Case]]:
    """Return how a case of each kind is made from its size."""

    def forest(workspace: Workspace) -> Sequence[Question]:
        house.deploy(workspace, {house.MODEL: small.store(made.bundle, workspace)})
        return asked

    def linear(features: int) -> Callable[[Workspace], Sequence[Question]]:
        def deploy(workspace: Workspace) -> Sequence[Question]:
            bundle, questions = small.linear(workspace, features)
            house.deploy(workspace, {small.LINEAR: bundle.digest})
            return questions

        return deploy

    def many(count: int) -> Callable[[Workspace], Sequence[Question]]:
        def deploy(workspace: Workspace) -> Sequence[Question]:
            digests = small.copies(workspace, made.bundle, count)
            house.deploy(workspace, digests)
            return [replace(asked[number % len(asked)], model=name) for number, name in enumerate(digests)]

        return deploy

    return {"rows": lambda size: Case(forest, size), "features": lambda size: Case(linear(size)), "models": lambda size: Case(many(size))}


def measure(case: Case, size: int, folder: Path, cores: Cores, *, seconds: int) -> Point:
    """Serve a case, see that each of its questions is answered right, load it from one client, and look at the worker's memory."""
    workspace = house.make(folder / "workspace", {})
    questions = case.deploy(workspace)
    with served(workspace, folder, {cores.server}) as service:
        service.ready()
        service.ask(questions, len(questions))
        if case.batch:
            service.ask_batch(questions, case.batch)
        files = request_files(questions, service.address, folder / "requests", batch=case.batch)
        for duration in (WARM_SECONDS, seconds):
            done = load.run(service.address, files, clients=1, seconds=duration, cores={cores.load})
        return Point(size, done.p50, done.p99, service.memory()["worker"])


def table(found: Mapping[str, Sequence[Point]]) -> str:
    """Return all points as Markdown."""
    lines = [
        (f"{size:,} {WHAT[kind]}", results.milliseconds(p50), results.milliseconds(p99), results.whole(memory / MEGABYTE))
        for kind, points in found.items()
        for size, p50, p99, memory in points
    ]
    return "\n".join(results.grid(("one client", "p50 ms", "p99 ms", "worker MB"), lines))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog=f"python -m {COMMAND}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one point of each, for a moment")
    parser.add_argument("--seconds", type=int, help="whole seconds of a load (5; with --quick 1)")
    parser.add_argument("--picture", type=Path, help="file for the picture, .png or .svg")
    parser.add_argument("--write", action="store_true", help=f"also write {page.PAGE.name} and its picture")
    given = parser.parse_args(argv)
    seconds, sizes = given.seconds or (1 if given.quick else 5), QUICK if given.quick else SIZES
    load.wrk()
    cores = Cores.choose()
    processes.adopt_orphans()
    facts = machine.facts(f"service on core {cores.server}, wrk on core {cores.load}")
    found: dict[str, list[Point]] = {kind: [] for kind in sizes}
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        workspace = house.make(Path(folder) / "training", {})
        made = house.seal(workspace)
        of = cases(made, scale.questions(workspace, made))
        for kind, several in sizes.items():
            for size in several:
                point = measure(of[kind](size), size, Path(folder) / f"{kind}-{size}", cores, seconds=seconds)
                found[kind].append(point)
                print(f"{size} {WHAT[kind]}: p50 {1000 * point.p50:.3f} ms, {point.memory / MEGABYTE:.0f} MB", flush=True)
    notes = [f"- {seconds} s for each point, after {WARM_SECONDS} s to warm up; rows and models are those of the iris forest", *facts]
    text = "\n\n".join((table(found), "\n".join(notes)))
    print(f"\n{text}\n")
    if given.picture is not None:
        growth_picture.draw(found, given.picture)
    if given.write:
        growth_picture.draw(found, PICTURE)
        page.lay(COMMAND, f"{text}\n\n![Latency and memory against rows, features and models](../assets/{PICTURE.name})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
