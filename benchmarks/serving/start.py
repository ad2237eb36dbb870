"""How long ``treadle serve`` takes to be ready, what memory it has then, and what the slim install takes on the disk.

    python -m benchmarks.serving.start

Every project of the repository is trained once, from rows that need no internet, and served: each by itself, and all of them together.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks import house
from benchmarks.serving import goals, install, machine, page, processes, results, small
from benchmarks.serving.environments import EnvironmentFailedError
from benchmarks.serving.goals import MEGABYTE, Goal
from benchmarks.serving.install import Install
from benchmarks.serving.service import Question, served
from treadle.engine.encode import example, to_matrix
from treadle.projects import find
from treadle.settings import Workspace
from treadle.training.pipeline import scores_of
from treadle.training.train import Trained

COMMAND = "benchmarks.serving.start"
READY = Goal("ready with every project, one worker", 1.5, "s")
WORKER = Goal("memory of a worker with every project", 350, "MB")
DISK = Goal("slim install on disk", 400, "MB")


@dataclass(frozen=True)
class Case:
    """Something that is served: these models, by so many workers, with the Python ``python`` (none: that of this process)."""

    title: str
    models: Sequence[str]
    workers: int = 1
    python: Path | None = None


@dataclass
class Seen:
    """What was measured of a case, a value per start: seconds by "ready" and "answered", bytes by the kind of process."""

    title: str
    starts: list[dict[str, float]] = field(default_factory=list)

    def median(self, name: str) -> float:
        """Return the median of a figure."""
        return statistics.median(start[name] for start in self.starts)


def trained(folder: Path, names: Sequence[str]) -> tuple[Workspace, dict[str, Trained]]:
    """Train each project once, in one workspace."""
    workspace = house.make(folder, {}, projects=names)
    return workspace, {name: house.seal(workspace, name) for name in names}


def question(workspace: Workspace, name: str, made: Trained) -> Question:
    """Return the example row of a project, with the scores that the fitted pipeline itself has for it."""
    interface = find(workspace, name).contract.interface
    row = example(interface)
    scores = scores_of(made.fitted.pipeline, interface, to_matrix(interface, [row]))
    return Question(name, interface, row, np.asarray(scores[0], dtype=np.float64))


def cases(names: Sequence[str], slim: Install | None) -> list[Case]:
    """Return what is served: each project by itself, all of them, with the two workers of the settings, and from the slim install."""
    alone = [Case(name, [name]) for name in names]
    together = [Case("all of them", names), Case("all of them, 2 workers", names, 2)] if len(names) > 1 else []
    return [*alone, *together, *([Case("all of them, slim install", names, python=slim.python)] if slim else [])]


def measure(case: Case, made: Mapping[str, Trained], questions: Mapping[str, Question], folder: Path, *, starts: int, asked: int) -> Seen:
    """Start a service again and again; each time see when it answers, ask it, and look at its memory."""
    seen, cores = Seen(case.title), os.sched_getaffinity(0)
    for number in range(starts):
        place = folder / f"start-{number}"
        workspace = house.make(place / "workspace", {}, projects=case.models)
        house.deploy(workspace, {name: small.store(made[name].bundle, workspace) for name in case.models})
        those = [questions[name] for name in case.models]
        with served(workspace, place, cores, workers=case.workers, python=case.python) as service:
            found = {"ready": service.ready(), "answered": service.answered(those)}
            service.ask(those, asked)
            seen.starts.append({**found, **service.memory()})
        print(f"{case.title}: ready in {found['ready']:.2f} s", flush=True)
    return seen


def table(seen: Iterable[Seen]) -> str:
    """Return the medians as Markdown: seconds and megabytes."""
    head = ("served", "ready s", "first right answer s", "worker MB", "shipper MB", "supervisor MB", "all MB")
    lines = [
        (
            one.title,
            *(results.seconds(one.median(name)) for name in ("ready", "answered")),
            *(results.whole(one.median(name) / MEGABYTE) for name in ("worker", "shipper", "supervisor", "all")),
        )
        for one in seen
    ]
    return "\n".join(results.grid(head, lines))


def held(seen: Sequence[Seen], slim: Install | None) -> list[tuple[Goal, float]]:
    """Return the goals with what was found: those of the service are about all projects at once."""
    every = next((one for one in seen if one.title == "all of them"), seen[0])
    found = [(READY, every.median("ready")), (WORKER, every.median("worker") / MEGABYTE)]
    return [*found, *([(DISK, slim.size / MEGABYTE)] if slim else [])]


def sources(made: Mapping[str, Trained]) -> str:
    """Return what each project was trained on, as a line of Markdown."""
    of = ", ".join(f"{name} ({one.bundle.manifest.lineage.data_source})" for name, one in made.items())
    return f"- trained on rows that need no internet: {of}"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog=f"python -m {COMMAND}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="iris alone, started once, no slim install")
    parser.add_argument("--starts", type=int, help="starts of each service (5; with --quick 1)")
    parser.add_argument("--predictions", type=int, default=1000, help="answers before memory is looked at (1000)")
    parser.add_argument("--write", action="store_true", help=f"also write {page.PAGE.name}")
    given = parser.parse_args(argv)
    names = (house.MODEL,) if given.quick else house.names()
    starts = given.starts or (1 if given.quick else 5)
    processes.adopt_orphans()
    facts = machine.facts("the service may use every core")
    with tempfile.TemporaryDirectory(prefix="start-") as folder:
        slim, missing = None, ""
        try:
            slim = None if given.quick else install.make(Path(folder) / "install")
        except EnvironmentFailedError as error:
            missing = f"- slim install: not measured, {error}"
        workspace, made = trained(Path(folder) / "training", names)
        questions = {name: question(workspace, name, one) for name, one in made.items()}
        seen = [
            measure(case, made, questions, Path(folder) / f"case-{number}", starts=starts, asked=given.predictions)
            for number, case in enumerate(cases(names, slim))
        ]
    notes = [
        *([install.told(slim)] if slim else [missing] if missing else []),
        sources(made),
        f"- {starts} starts each, the median; memory after {given.predictions:,} answers",
        *facts,
    ]
    text = "\n\n".join((table(seen), goals.table(held(seen, slim)), "\n".join(notes)))
    page.tell(COMMAND, text, write=given.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
