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
from benchmarks.serving.results import BESIDE

START_SECONDS = 120.0
ANSWER_SECONDS = 30.0
EXPORT_SECONDS = 300
WARM_SECONDS = 1
YARDSTICK_SECONDS = 2
LONGER = 3
"""How many times as long a load is that is repeated, because something in it seemed to grow."""
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
    yardstick: "Yardstick | None" = None
    _starts: dict[str, int] = field(default_factory=dict)

    def fresh(self, name: str) -> Path:
        """Return a new folder."""
        number = self._starts[name] = self._starts.get(name, 0) + 1
        folder = self.folder / f"{name}-{number}"
        folder.mkdir(parents=True)
        return folder


@dataclass(frozen=True)
class Yardstick:
    """A service that stands beside all others, on the same core, and is asked before and after each load of theirs."""

    url: str
    files: Sequence[Path]
    core: int

    def asked(self, clients: int) -> load.Load:
        """Ask it for one row at a time, from so many clients."""
        return load.run(self.url, self.files, clients=clients, seconds=YARDSTICK_SECONDS, cores={self.core})


@contextmanager
def yardstick(contender: Contender, terms: Terms) -> Iterator[Yardstick]:
    """Have a contender stand beside the others for as long as the block runs. While nobody asks it, it needs no time.

    Raises:
        ContenderFailedError: it does not start, or answers wrongly.
    """
    with _started(contender, terms) as (place, headers, running):
        address = f"http://127.0.0.1:{place.port}"
        _first_answer(contender.one, address, headers, running, terms.model)
        url = f"{address}{contender.one.path}"
        files = _requests(url, contender.one, headers, [row[None] for row in terms.model.rows], place.folder)
        yield Yardstick(url, files, terms.cores.load)


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
    with _started(contender, terms) as (place, headers, running):
        return _loaded(contender, place, headers, running, terms)


@contextmanager
def _started(contender: Contender, terms: Terms) -> Iterator[tuple[Place, Headers, Running]]:
    try:
        python = environments.make(contender.lock) if contender.lock else contenders.ours()
        folder = terms.fresh(contender.name)
        place = Place(python, folder, processes.free_port(), (processes.free_port(), processes.free_port()))
        env = {**environment(place), **contender.prepare(place)}
        _export(contender, place, env)
        headers = contender.headers(folder)
        with Running(contender.command(place), env, folder, {terms.cores.server}) as running:
            yield place, headers, running
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
            done = loads.beside(name, contender.one, [row[None] for row in terms.model.rows], clients)
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

    def growth(self, name: str, found: Measured) -> str:
        """Note how much waited in a load, wait until all is shipped, and say whether it grew: the next load begins with nothing left to do.

        Raises:
            BacklogStaysError: it is not shipped.
        """
        if self.probe is None:
            return ""
        found.figures[f"{name}_waiting"] = waiting(self.looks)
        told = grows(self.looks)
        self.looks.clear()
        self.probe.drained()
        return told


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

    def beside(self, name: str, ask: Ask, questions: list[Floats], clients: int) -> load.Load:
        """Do ``run`` between two loads of the yardstick, and note the mean of those."""
        yard = self.terms.yardstick
        before = yard.asked(clients) if yard else None
        done = self.run(name, ask, questions, clients)
        after = yard.asked(clients) if yard else None
        if before and after:
            means = {"rate": (before.rate + after.rate) / 2, "p50": (before.p50 + after.p50) / 2, "p99": (before.p99 + after.p99) / 2}
            self.found.figures |= {f"{name}_{figure}{BESIDE}": mean for figure, mean in means.items()}
        return done

    def run(self, name: str, ask: Ask, questions: list[Floats], clients: int) -> load.Load:
        """Send the questions in turn: a second to warm up, then the load that counts."""
        url = f"{self.address}{ask.path}"
        files = _requests(url, ask, self.headers, questions, self.folder)
        cores = {self.terms.cores.load}
        load.run(url, files, clients=clients, seconds=WARM_SECONDS, cores=cores)
        for seconds in (self.terms.seconds, LONGER * self.terms.seconds):
            done = load.run(url, files, clients=clients, seconds=seconds, cores=cores, watch=self.watch.look)
            growth = self.watch.growth(name, self.found)
            if not growth:
                return done
        # What has only swung in a short load would be level in a long one.
        self.found.growing.append(f"{name}: {growth}")
        return done


def _requests(url: str, ask: Ask, headers: Headers, questions: list[Floats], folder: Path) -> list[Path]:
    """Write the requests for some questions as files; return their paths."""
    files = []
    for number, rows in enumerate(questions):
        path = folder / f"request-{number}"
        path.write_bytes(load.request(url, contenders.encoded(ask.body(rows)), [*headers, *ask.headers(rows)]))
        files.append(path)
    return files


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
