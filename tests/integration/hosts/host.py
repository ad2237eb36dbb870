"""A host: a workspace with a home and a spool of its own, its processes, and callers who remember every answer."""

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from sqlalchemy import select

from tests import small_bundles
from tests.crew import PATIENCE, Crew, until
from treadle.client import Client, Label, Ready
from treadle.errors import RequestRefused, ServiceUnreachable
from treadle.settings import MARKER, Workspace
from treadle.state import deployments, schema
from treadle.state.deployments import Role, Slot
from treadle.state.store import Store, open_store

TREADLE = (sys.executable, "-u", "-m", "treadle.cli.main")

SETTINGS = """\
offline = true
port = 0
controller_port = 0
workers = 2
poll_seconds = 0.1
controller_seconds = 0.5
"""


class Host:
    """One workspace and the processes that were started in it. Use as a context manager: at its end they are ended."""

    def __init__(self, root: Path, settings: str = "") -> None:
        root.mkdir(parents=True, exist_ok=True)
        (root / MARKER).write_text(SETTINGS + settings, encoding="utf-8")
        self.workspace = Workspace.find(root)
        self.url = ""
        self._environment = {**os.environ, "TREADLE_WORKSPACE": str(self.workspace.root), "OMP_NUM_THREADS": "1"}
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait(PATIENCE)

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Start a command of treadle that goes on; what it says is in ``log``."""
        with self._log(command).open("ab") as output:
            process = subprocess.Popen([*TREADLE, command], env=self._environment, stdout=output, stderr=output)
        self._running.append(process)
        return process

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of treadle that comes to an end."""
        return subprocess.run([*TREADLE, *arguments], env=self._environment, capture_output=True, text=True, check=False)

    def serve(self) -> None:
        """Start the service, and wait until each worker answers for every deployed model."""
        self.start("serve")
        until(lambda: "serving on" in self.log("serve"), "the service has an address")
        self.url = self.log("serve").split("serving on ")[-1].split()[0]
        until(self.is_ready, "the service is ready")
        met: set[int] = set()

        def all_met() -> bool:
            with Client(self.url, retries=0) as client:
                met.add(client.health().worker)
            return len(met) == self.workspace.settings.workers

        until(all_met, "each worker answers")

    def is_ready(self) -> bool:
        """Tell whether the service answers for every deployed model."""
        try:
            return self.ready().ready
        except ServiceUnreachable:
            return False

    def ready(self) -> Ready:
        """Return what a worker says of itself."""
        with Client(self.url, retries=0) as client:
            return client.ready()

    def log(self, command: str) -> str:
        """Return what a command has said so far."""
        return self._log(command).read_text(encoding="utf-8")

    def shipper_log(self) -> str:
        """Return what the shipper has said so far."""
        return (self.workspace.home / "logs" / "shipper.log").read_text(encoding="utf-8")

    def deaths(self) -> list[str]:
        """Return what the service has said of processes that have died."""
        return [line for line in self.log("serve").splitlines() if " died " in line]

    def workers(self) -> list[psutil.Process]:
        """Return the running workers."""
        children = [child for process in self._running for child in psutil.Process(process.pid).children()]
        return [child for child in children if "treadle.serving.worker" in child.cmdline()]

    def _log(self, command: str) -> Path:
        return self.workspace.root / f"{command}.log"


def open_at(host: Host) -> Store:
    """Return the store that a host uses."""
    return open_store(host.workspace.store_url)


def slot(host: Host, graph: bytes, version: int, role: Role = "champion", weight: float = 1.0) -> Slot:
    """Seal a bundle among those of a host, and return a slot that names it."""
    return Slot(role, version, small_bundles.put(host.workspace.bundle_dir, graph).digest, weight)


def deploy(store: Store, *slots: Slot) -> int:
    """Insert the next generation of the model, as a promotion does; return its number."""
    with store.write() as conn:
        expected = deployments.generations(conn).get("churn", 0)
        deployments.insert(conn, "churn", expected=expected, slots=slots, reason="a test", at=time.time())
    return expected + 1


@dataclass
class Callers(Crew):
    """Threads that ask one host and tell it what turned out to be true, and remember every answer.

    ``refused``: every answer that was neither 200 nor 202, as (status, whether it says when to come back).
    """

    url: str
    answered: dict[str, int] = field(default_factory=dict)
    labelled: list[str] = field(default_factory=list)
    refused: Counter[tuple[int, bool]] = field(default_factory=Counter)
    resets: int = 0
    slowest: float = 0.0
    pause: float = 0.02
    labels_at: str = ""

    def more(self, count: int = 50) -> None:
        """Wait until so many more rows were answered."""
        enough = len(self.answered) + count
        until(lambda: len(self.answered) >= enough, lambda: f"{count} more answers ({self.refused}, {self.resets} resets)")

    def work(self, number: int) -> None:
        """Ask and tell, over and over."""
        with (
            Client(self.url, timeout=PATIENCE, retries=0) as here,
            Client(self.labels_at or self.url, timeout=PATIENCE, retries=0) as there,
        ):
            count = 0
            while not self.stopping.wait(self.pause):
                count += 1
                started = time.monotonic()
                try:
                    self._one(here, there, f"c{number}-{count}", count)
                except ServiceUnreachable:
                    self.resets += 1
                except RequestRefused as error:
                    self.refused[error.status, error.retry_after is not None] += 1
                self.slowest = max(self.slowest, time.monotonic() - started)

    def _one(self, here: Client, there: Client, name: str, count: int) -> None:
        rows = [{"tenure": (count + place) % 100, "spend": count % 1000, "customer": name} for place in range(4)]
        found = here.predict_batch("churn", rows) if count % 10 == 0 else [here.predict("churn", rows[0])]
        self.answered |= {one.prediction_id: one.version for one in found}
        there.labels("churn", [Label(prediction_id=one.prediction_id, value="yes") for one in found])
        self.labelled += [one.prediction_id for one in found]


def ids_in(store: Store) -> list[str]:
    """Return the id of every prediction in the store."""
    with store.read() as conn:
        return list(conn.execute(select(schema.predictions.c.prediction_id)).scalars())


def labels_in(store: Store) -> list[str]:
    """Return the prediction that each label in the store names, as often as there are labels."""
    with store.read() as conn:
        return list(conn.execute(select(schema.labels.c.prediction_id)).scalars())


def counted_in(store: Store) -> int:
    """Return how many rows the parts of the live profile have counted."""
    with store.read() as conn:
        return sum(conn.execute(select(schema.profile_parts.c.rows)).scalars())


def require_each_once(store: Store, *callers: Callers, unanswered: int = 0) -> None:
    """Require that what was answered is in the store, each row and each label once, and counted once.

    ``unanswered``: how many rows may be in the log without that their caller got the answer.
    """
    answered = [one for group in callers for one in group.answered]
    labelled = [one for group in callers for one in group.labelled]
    until(lambda: len(ids_in(store)) >= len(answered) and len(labels_in(store)) >= len(labelled), "all that was answered is in the store")
    time.sleep(0.5)  # what comes twice must have had the time to
    logged = Counter(ids_in(store))
    assert not set(answered) - set(logged)
    assert max(logged.values()) == 1
    assert len(logged) <= len(answered) + unanswered
    told = Counter(labels_in(store))
    assert not Counter(labelled) - told
    assert max(told.values()) == 1
    assert counted_in(store) == len(logged)
