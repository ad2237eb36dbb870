"""``treadle serve`` in a workspace of a benchmark: started, waited for, asked, and looked at process by process."""

import http.client
import json
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.serving import load, measure, processes
from benchmarks.serving.contenders import TOLERANCE, Place, WrongAnswerError
from benchmarks.serving.model import Floats
from benchmarks.serving.processes import Running
from treadle.settings import Workspace
from treadle.spec import Interface

START_SECONDS = 120.0
PAUSE = 0.005
"""Seconds between two tries to connect: how exactly a start is timed."""
KINDS = {"worker": "treadle.serving.worker", "shipper": "treadle.serving.shipper"}
"""What the command line of a process has in it, by kind; the process that keeps the others running is the supervisor."""


class ServiceFailedError(Exception):
    """The service did not do what is to be measured; the message says why."""


@dataclass(frozen=True)
class Question:
    """One row that a model is asked about, as a JSON object, and what its scores must be, float [k]."""

    model: str
    interface: Interface
    row: Mapping[str, Any]
    scores: Floats

    @property
    def path(self) -> str:
        """Where it is asked."""
        return f"/predict/{self.model}"

    def body(self) -> bytes:
        """Return the body of the request."""
        return json.dumps(dict(self.row), separators=(",", ":")).encode()

    def check(self, printed: bytes) -> None:
        """Hold an answer against the scores.

        Raises:
            WrongAnswerError: it says something else.
        """
        try:
            told = json.loads(printed)
            classes = self.interface.target.classes
            found = np.array([told["probabilities"][name] for name in classes] if classes else [told["prediction"]], dtype=np.float64)
        except (ValueError, KeyError, TypeError) as error:
            raise WrongAnswerError(f"{type(error).__name__}: {error}, in {printed[:200]!r}") from error
        if not np.allclose(found, self.scores, rtol=TOLERANCE, atol=TOLERANCE):
            raise WrongAnswerError(f"{self.model} answers {found.tolist()} where {self.scores.tolist()} is right")


@dataclass(frozen=True)
class Service:
    """A service that has been started."""

    running: Running
    port: int

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> float:
        """Wait for a 200 of /ready; return the seconds since the start."""

        def asked() -> bool:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=measure.ANSWER_SECONDS)
            try:
                connection.request("GET", "/ready")
                return connection.getresponse().status == 200
            finally:
                connection.close()

        return self._since_start(asked)

    def answered(self, questions: Sequence[Question]) -> float:
        """Wait until each question has its right answer; return the seconds since the start."""
        return max(self._since_start(lambda one=question: self._right(one)) for question in questions)  # type: ignore[misc]

    def _right(self, question: Question) -> bool:
        status, printed = measure.post(f"{self.address}{question.path}", question.body(), ())
        if status >= 300:
            return False
        question.check(printed)
        return True

    def _since_start(self, done: Callable[[], bool]) -> float:
        while time.monotonic() - self.running.began < START_SECONDS:
            if not self.running.alive:
                raise ServiceFailedError(f"it has ended instead of starting: {self.running.told()}")
            try:
                if done():
                    return time.monotonic() - self.running.began
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(PAUSE)
        raise ServiceFailedError(f"it has not answered within {START_SECONDS:.0f} s: {self.running.told()}")

    def ask(self, questions: Sequence[Question], times: int) -> None:
        """Ask the questions in turn, so many times in all, over one connection; every answer must be right.

        Raises:
            ServiceFailedError: a request was refused.
            WrongAnswerError: an answer is wrong.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=measure.ANSWER_SECONDS)
        bodies = [question.body() for question in questions]
        for number in range(times):
            question = questions[number % len(questions)]
            connection.request("POST", question.path, bodies[number % len(questions)], {"Content-Type": "application/json"})
            answer = connection.getresponse()
            printed = answer.read()
            if answer.status >= 300:
                raise ServiceFailedError(f"{question.model}: status {answer.status}, {printed[:200]!r}")
            question.check(printed)
        connection.close()

    def ask_batch(self, questions: Sequence[Question], rows: int) -> None:
        """Ask for a batch of so many rows; every answer in it must be right. Raises as ``ask`` does."""
        status, printed = measure.post(f"{self.address}{questions[0].path}/batch", batch_of(questions, rows), ())
        if status >= 300:
            raise ServiceFailedError(f"a batch of {rows} rows: status {status}, {printed[:200]!r}")
        answers = json.loads(printed)["predictions"]
        if len(answers) != rows:
            raise WrongAnswerError(f"{len(answers)} answers to {rows} rows")
        for number, answer in enumerate(answers):
            questions[number % len(questions)].check(json.dumps(answer).encode())

    def kinds(self) -> dict[str, list[psutil.Process]]:
        """Return its processes by kind: workers, shipper, supervisor."""
        found: dict[str, list[psutil.Process]] = {"worker": [], "shipper": [], "supervisor": []}
        for process in self.running.tree():
            line = " ".join(process.cmdline())
            found[next((kind for kind, part in KINDS.items() if part in line), "supervisor")].append(process)
        return found

    def memory(self) -> dict[str, float]:
        """Return the resident memory in bytes: of the largest process of each kind, and of all together (shared pages count for each)."""
        known = {kind: [one.memory_info().rss for one in those] for kind, those in self.kinds().items()}
        return {**{kind: float(max(sizes, default=0)) for kind, sizes in known.items()}, "all": float(sum(map(sum, known.values())))}

    def seconds(self, kind: str) -> dict[int, float]:
        """Return the CPU seconds (user and system) that each process of a kind has used since its start, by its id."""
        known = {one.pid: one.cpu_times() for one in self.kinds()[kind]}
        return {pid: used.user + used.system for pid, used in known.items()}


@contextmanager
def served(
    workspace: Workspace, folder: Path, cores: Collection[int], *, workers: int = 1, python: Path | None = None
) -> Iterator[Service]:
    """Serve a workspace on these cores for as long as the block runs; ``folder`` takes the log, ``python`` is whose Treadle it is."""
    place = Place(python or Path(sys.executable), folder, processes.free_port(), ())
    folder.mkdir(parents=True, exist_ok=True)
    env = {**measure.environment(place), "TREADLE_WORKSPACE": str(workspace.root)}
    if python is not None:
        env.pop("PYTHONPATH")
    command = [place.program("treadle"), "serve", "--port", str(place.port), "--workers", str(workers)]
    with Running(command, env, folder, cores) as running:
        yield Service(running, place.port)


def batch_of(questions: Sequence[Question], rows: int) -> bytes:
    """Return the body of a batch of so many rows, the questions of one model again and again."""
    asked = [dict(questions[number % len(questions)].row) for number in range(rows)]
    return json.dumps({"rows": asked}, separators=(",", ":")).encode()


def request_files(questions: Sequence[Question], address: str, folder: Path, *, batch: int = 0) -> list[Path]:
    """Write the requests of some questions as files that wrk sends in turn, or one with a ``batch`` of so many rows; return their paths."""
    bodies = (
        [(f"{questions[0].path}/batch", batch_of(questions, batch))]
        if batch
        else [(question.path, question.body()) for question in questions]
    )
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, (path, body) in enumerate(bodies):
        file = folder / f"request-{number}"
        file.write_bytes(load.request(f"{address}{path}", body))
        paths.append(file)
    return paths
