"""One host that serves, as processes of its own, and callers who remember every answer."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import select

from tests.chaos import boundaries
from tests.crew import PATIENCE, Crew, until
from tests.shipping import ship_the_rest
from treadle.client import Client, Prediction
from treadle.errors import RequestRefused, ServiceUnreachable
from treadle.serving.spool import segments
from treadle.settings import Workspace
from treadle.state import schema
from treadle.state.store import open_store

REPOSITORY = Path(__file__).parents[2]


class Host:
    """`treadle serve` in a workspace, kept alive by whoever watches a host: what has died is started again."""

    def __init__(self, root: Path, port: int, plan: boundaries.Plan | None = None) -> None:
        self.root, self.url = root, f"http://127.0.0.1:{port}"
        self.starts = 0
        self._environment = {
            **os.environ,
            "TREADLE_WORKSPACE": str(root),
            "TREADLE_PORT": str(port),
            "TREADLE_SEGMENT_MB": "0.02",
            "OMP_NUM_THREADS": "1",
        }
        if plan is not None:
            self._environment[boundaries.VARIABLE] = plan.to_json()
            self._environment["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY / "tests" / "chaos" / "hook"), str(REPOSITORY)])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)

    def until_ready(self) -> None:
        """Wait until it answers."""
        until(lambda: _ready(self.url), lambda: f"it is ready: {(self.root / 'serve.log').read_text()}")

    def _keep_alive(self) -> None:
        while not self._stop.is_set():
            with (self.root / "serve.log").open("ab") as output:
                command = [sys.executable, "-m", "treadle.cli.main", "serve"]
                self.process = subprocess.Popen(command, env=self._environment, stdout=output, stderr=output)
            self.starts += 1
            while self.process.poll() is None and not self._stop.wait(0.02):
                pass
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)


def _ready(url: str) -> bool:
    with Client(url, timeout=5, retries=0) as client, suppress(ServiceUnreachable):
        return client.ready().ready
    return False


@dataclass
class Callers(Crew):
    """Threads that ask and tell labels, and remember what was answered."""

    url: str
    answered: dict[str, Prediction] = field(default_factory=dict)
    labelled: set[str] = field(default_factory=set)
    resets: int = 0
    wrong: Counter[str] = field(default_factory=Counter)

    def work(self, number: int) -> None:
        """Ask and tell, over and over."""
        count = 0
        with Client(self.url, timeout=10, retries=0) as client:
            while not self.stopping.is_set():
                count += 1
                try:
                    self._one(client, f"c{number}-{count}", batch=count % 10 == 0)
                except ServiceUnreachable:
                    self.resets += 1
                    time.sleep(0.02)
                except RequestRefused as error:
                    self.wrong[error.sentence] += 1

    def _one(self, client: Client, name: str, *, batch: bool) -> None:
        row = {"tenure": 2, "spend": 30.5, "customer": name}
        found = client.predict_batch("churn", [row] * 4) if batch else [client.predict("churn", row)]
        self.answered |= {one.prediction_id: one for one in found}
        client.label("churn", prediction_id=found[-1].prediction_id, value="yes")
        self.labelled.add(found[-1].prediction_id)

    def until(self, more: int) -> None:
        """Wait until so many more rows were answered."""
        enough = len(self.answered) + more
        until(lambda: len(self.answered) >= enough, lambda: f"{more} more answers ({self.resets} resets, {self.wrong})")


def lost_or_doubled(root: Path, callers: Callers, *, kills: int, before: int) -> list[str]:
    """Return what is not as promised of these callers' rows; ``before``: rows that were in the store already."""
    # A kill takes at most the request of each caller with it, and a request holds up to four rows.
    in_flight = 4 * callers.count * kills
    wrong = unlike_the_store(root, callers.answered.keys(), callers.labelled, in_flight=in_flight, before=before)
    return [f"{count} times: {what}" for what, count in callers.wrong.items()] + wrong


def unlike_the_store(root: Path, answered: AbstractSet[str], labelled: AbstractSet[str], *, in_flight: int, before: int = 0) -> list[str]:
    """Return how the store differs from what callers know, once all that was logged is shipped.

    ``in_flight``: most rows that may have been logged and not answered; ``before``: rows that were in the store already, uncounted.
    """
    workspace = Workspace.find(root)
    store = open_store(workspace.store_url)
    ship_the_rest(workspace, store)
    with store.read() as conn:
        logged = list(conn.execute(select(schema.predictions.c.prediction_id)).scalars())
        labels = list(conn.execute(select(schema.labels.c.prediction_id)).scalars())
        counted = sum(conn.execute(select(schema.profile_parts.c.rows)).scalars())
    store.close()
    new, lost, missing = len(logged) - before, answered - set(logged), labelled - set(labels)
    unanswered, left = new - len(answered), segments(workspace.spool_dir)
    wrong = {
        f"{len(lost)} answered rows are not in the store": lost,
        f"{unanswered} rows were logged and not answered": unanswered > in_flight,
        f"the profile counts {counted} rows of {new}": counted != new,
        f"{len(missing)} labels are not in the store": missing,
        f"segments are left: {left}": left,
    }
    return [what for what, true in wrong.items() if true]
