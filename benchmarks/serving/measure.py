"""One contender in one round: started on its core, checked, loaded, and ended."""

import http.client
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving import contenders, environments, load, processes
from benchmarks.serving.backlog import BacklogStaysError, Look, Probe, grows, waiting
from benchmarks.serving.contenders import Ask, Contender, Place, WrongAnswerError
from benchmarks.serving.environments import EnvironmentFailedError
from benchmarks.serving.load import LoadFailedError
from benchmarks.serving.model import Floats, Model
from benchmarks.serving.processes import Running

START_SECONDS = 120.0
ANSWER_SECONDS = 30.0
EXPORT_SECONDS = 300
WARM_SECONDS = 1
MANY, BATCHES = 16, 4
"""How many clients ask at once for one row, and for batches."""

NOT_OURS = ("TREADLE_", "PYTHON", "VIRTUAL_ENV", "COVERAGE", "PYTEST", "MLFLOW_")
"""Variables of the caller, by how they begin, that no contender may see."""


Headers = Sequence[tuple[str, str]]


class ContenderFailedError(Exception):
    """A contender could not be measured; the message says why."""


@dataclass(frozen=True)
class Cores:
    """The core of the contender, and the one of the load and of this process."""

    server: int
    load: int

    @classmethod
    def choose(cls) -> "Cores":
        """Take the last and the first of the cores that this process may use.

        Raises:
            SystemExit: there are not two of them.
        """
        if not hasattr(os, "sched_getaffinity"):
            raise SystemExit("Processes can be pinned to cores on Linux only, and without that nothing here can be compared.")
        free = sorted(os.sched_getaffinity(0))
        if len(free) < 2:
            raise SystemExit("Two cores are needed: one for the contender, one for the load.")
        return cls(server=free[-1], load=free[0])


@dataclass(frozen=True)
class Terms:
    """What is the same for all: the model, the cores, the length of a load in seconds, and the folder for what is made."""

    model: Model
    cores: Cores
    seconds: int
    folder: Path
    _starts: dict[str, int] = field(default_factory=dict)

    def fresh(self, name: str) -> Path:
        """Return a new folder."""
        number = self._starts[name] = self._starts.get(name, 0) + 1
        folder = self.folder / f"{name}-{number}"
        folder.mkdir(parents=True)
        return folder


@dataclass
class Measured:
    """What was measured of one contender in one round.

    ``figures`` by name: rates per second, times in seconds, memory in MiB. ``growing`` says in which loads the backlog of the spool grew:
    then the figures are those of a service that leaves work undone.
    """

    figures: dict[str, float] = field(default_factory=dict)
    growing: list[str] = field(default_factory=list)


def measure(contender: Contender, terms: Terms) -> Measured:
    """Start a contender, see that it answers right, load it, and end it.

    Raises:
        ContenderFailedError: it has no environment, does not start, fails under load, or answers wrongly.
    """
    try:
        python = environments.make(contender.lock) if contender.lock else contenders.ours()
        folder = terms.fresh(contender.name)
        place = Place(python, folder, processes.free_port(), (processes.free_port(), processes.free_port()))
        env = {**environment(place), **contender.prepare(place)}
        _export(contender, place, env)
        headers = contender.headers(folder)
        with Running(contender.command(place), env, folder, {terms.cores.server}) as running:
            return _loaded(contender, place, headers, running, terms)
    except (EnvironmentFailedError, LoadFailedError, WrongAnswerError, BacklogStaysError, subprocess.SubprocessError) as error:
        raise ContenderFailedError(str(error)) from error


def environment(place: Place) -> dict[str, str]:
    """Return the variables of a contender's processes: those of this one without what is Treadle's, and one computing thread."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
    return {
        **kept,
        "PATH": f"{place.python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "VIRTUAL_ENV": str(place.python.parent.parent),
        "PYTHONPATH": str(environments.REPOSITORY),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "UVICORN_ACCESS_LOG": "false",
    }


def _export(contender: Contender, place: Place, env: Mapping[str, str]) -> None:
    if contender.export is None:
        return
    done = subprocess.run(
        contender.export(place), env=dict(env), cwd=place.folder, capture_output=True, text=True, check=False, timeout=EXPORT_SECONDS
    )
    if done.returncode:
        raise ContenderFailedError(f"its model could not be written: {done.stderr.strip()[-300:]}")


def _loaded(contender: Contender, place: Place, headers: Headers, running: Running, terms: Terms) -> Measured:
    address = f"http://127.0.0.1:{place.port}"
    found = Measured({"start": _first_answer(contender.one, address, headers, running, terms.model)})
    _check(contender, address, headers, terms.model)
    stray = running.strays()
    if stray:
        raise ContenderFailedError(f"of its processes {', '.join(stray)} may use other cores too")
    with watched(contender, place.folder) as watch:
        loads = Loads(address, headers, place.folder, terms, watch, found)
        for name, clients in (("many", MANY), ("single", 1)):
            done = loads.run(name, contender.one, [row[None] for row in terms.model.rows], clients)
            found.figures |= {f"{name}_rate": done.rate, f"{name}_p50": done.p50, f"{name}_p99": done.p99}
            if name == "many":
                found.figures["memory"] = running.memory()
        if contender.batch is not None:
            rows, _ = terms.model.batch()
            found.figures["rows"] = len(rows) * loads.run("batch", contender.batch, [rows], BATCHES).rate
        if contender.tensors is not None:
            rows, _ = terms.model.batch()
            found.figures["tensors"] = len(rows) * loads.run("tensors", contender.tensors, [rows], BATCHES).rate
    if not running.alive:
        raise ContenderFailedError(f"it has ended by itself: {running.told()}")
    return found


@dataclass
class Watch:
    """What is looked at while a contender is loaded: of Treadle its spool, of the others nothing."""

    probe: Probe | None
    looks: list[Look] = field(default_factory=list)

    def look(self) -> None:
        """Look once."""
        if self.probe is not None:
            self.looks.append(self.probe.look())

    def judge(self, name: str, found: Measured) -> None:
        """Note what the looks say of a load, and wait until all is shipped: the next one begins with nothing left to do.

        Raises:
            BacklogStaysError: it is not shipped.
        """
        if self.probe is None:
            return
        found.figures[f"{name}_waiting"] = waiting(self.looks)
        told = grows(self.looks)
        found.growing += [f"{name}: {told}"] if told else []
        self.looks.clear()
        self.probe.drained()


@contextmanager
def watched(contender: Contender, folder: Path) -> Iterator[Watch]:
    """Watch the spool of Treadle for as long as the block runs."""
    if contender.family != "treadle":
        yield Watch(None)
        return
    probe = Probe(contenders.opened(folder))
    try:
        yield Watch(probe)
    finally:
        probe.close()


@dataclass(frozen=True)
class Loads:
    """The loads of one contender at one address."""

    address: str
    headers: Headers
    folder: Path
    terms: Terms
    watch: Watch
    found: Measured

    def run(self, name: str, ask: Ask, questions: list[Floats], clients: int) -> load.Load:
        """Send the questions in turn: a second to warm up, then the load that counts."""
        url = f"{self.address}{ask.path}"
        files = []
        for number, rows in enumerate(questions):
            path = self.folder / f"request-{number}"
            path.write_bytes(load.request(url, contenders.encoded(ask.body(rows)), [*self.headers, *ask.headers(rows)]))
            files.append(path)
        cores = {self.terms.cores.load}
        load.run(url, files, clients=clients, seconds=WARM_SECONDS, cores=cores)
        done = load.run(url, files, clients=clients, seconds=self.terms.seconds, cores=cores, watch=self.watch.look)
        self.watch.judge(name, self.found)
        return done


def post(url: str, body: bytes, headers: Headers) -> tuple[int, bytes]:
    """Ask once; return the status and the body.

    Raises:
        OSError, http.client.HTTPException: there was no answer.
    """
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=ANSWER_SECONDS)
    try:
        connection.request("POST", f"/{path}", body, {"Content-Type": "application/json", **dict(headers)})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _first_answer(ask: Ask, address: str, headers: Headers, running: Running, model: Model) -> float:
    """Ask again and again until there is a right answer; return the seconds since the start."""
    body, told = contenders.encoded(ask.body(model.rows[:1])), "it has not answered"
    while time.monotonic() - running.began < START_SECONDS:
        if not running.alive:
            raise ContenderFailedError(f"it has ended instead of starting: {running.told()}")
        try:
            status, printed = post(f"{address}{ask.path}", body, headers)
        except (OSError, http.client.HTTPException) as error:
            told = str(error)
        else:
            if status < 300:
                ask.check(printed, model.rows[:1], model.probabilities[:1])
                return time.monotonic() - running.began
            told = f"status {status}: {printed[:200]!r}"
        time.sleep(0.01)
    raise ContenderFailedError(f"no answer within {START_SECONDS:.0f} s ({told}): {running.told()}")


def _check(contender: Contender, address: str, headers: Headers, model: Model) -> None:
    """See that every row is answered right by itself, and a whole batch."""
    questions = [(contender.one, model.rows[at : at + 1], model.probabilities[at : at + 1]) for at in range(len(model.rows))]
    if contender.batch is not None:
        questions.append((contender.batch, *model.batch()))
    if contender.tensors is not None:
        questions.append((contender.tensors, *model.batch()))
    for ask, rows, probabilities in questions:
        status, printed = post(f"{address}{ask.path}", contenders.encoded(ask.body(rows)), [*headers, *ask.headers(rows)])
        if status >= 300:
            raise ContenderFailedError(f"{len(rows)} rows: status {status}, {printed[:200]!r}")
        ask.check(printed, rows, probabilities)
