"""A night watch in small: real store, log, MLflow, snapshots, bundles and worker; only the clock stands until it is moved."""

import itertools
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prometheus_client import CollectorRegistry

from tests import small_bundles
from tests.shipping import ship_all
from tests.small_bundles import INTERFACE
from tests.small_service import Service
from treadle.bundle.place import BundlePlace
from treadle.data.snapshot import SnapshotPlace
from treadle.monitoring.metrics import ControllerMetrics
from treadle.projects import Project, find
from treadle.registry.tracking import DIGEST_TAG, TURN_TAG, Tracking
from treadle.retraining.controller import Controller
from treadle.retraining.steps import Desk
from treadle.settings import MARKER, Settings, Workspace
from treadle.state import deployments, episodes, events, joins, log, turns, verdicts
from treadle.state.deployments import Deployment, Slot
from treadle.state.events import Event
from treadle.state.store import open_store
from treadle.state.turns import Turn
from treadle.state.verdicts import Verdict

POLICY: dict[str, Any] = {
    "gate": {"metric": "roc_auc", "latency": 10, "min_rows": 30},
    "quality": {"min_rows": 50, "window": 100},
    "labels": {"maturity": 10},
    "retrain": {
        "min_rows": 100,
        "judge_rows": 40,
        "patience": 100,
        "max_rows": 1000,
        "backoff": 50,
        "new_labels": 5,
        "max_failures": 3,
        "time_limit": 1000,
    },
    "rollout": {"weight": 0.5, "rows": 40, "deadline": 600},
}

CODE = """
import numpy as np
from pandas import DataFrame
from sklearn.linear_model import LogisticRegression

def build(seed):
    return LogisticRegression()

def synthesize(rows, seed):
    return World(seed).draw(rows)

def simulate(rows, seed):
    return World(seed)

class World:
    def __init__(self, seed):
        self.random, self.count = np.random.default_rng(seed), 0

    def draw(self, count, *, shifted=False):
        tenure, spend = self.random.integers(0, 100, count), self.random.uniform(0, 1000, count).round(2)
        stays = (tenure + spend + self.random.normal(0, 50, count) > 500) != shifted
        self.count += count
        who = [f"c{number}" for number in range(self.count - count, self.count)]
        return DataFrame({"tenure": tenure, "spend": spend, "customer": who, "left": np.where(stays, "no", "yes")})
"""

CARD = {"metrics": {"roc_auc": 0.9}, "baseline": {"roc_auc": 0.5}, "parity": {"rows": 100, "share_beyond": 0.0}}

START = 10_000.0
CUT = START - 500
"""Time of the last row that the planted challengers were trained on."""

TRAINING_ROWS = 60

Rows = Sequence[tuple[float, float, str]]
"""Tenure, spend and the true label of each row."""


def told_apart(count: int, low: int = 60) -> Rows:
    """Return rows that the sound graphs rank without a mistake: those of the smaller half leave."""
    return [(1.0, low + 10.0 * (place % 10), "yes" if place % 10 < 5 else "no") for place in range(count)]


def scores(total: float) -> np.ndarray:
    """Return what the sound graph answers to a row whose features add up to ``total``."""
    stays = 1 / (1 + np.exp(-0.02 * total))
    return np.array([stays, 1 - stays], dtype="<f4")


def write_project(workspace: Workspace, name: str = "churn", code: str = CODE, **policy: Any) -> Project:
    """Write (again) the folder of a project; ``policy`` is laid over the parts of the policy that it names."""
    folder = workspace.projects_dir / name
    folder.mkdir(parents=True, exist_ok=True)
    laid = {part: {**POLICY.get(part, {}), **policy.get(part, {})} for part in POLICY.keys() | policy.keys()}
    contract = {"name": name, "data": [{"kind": "simulated"}], "interface": INTERFACE.model_dump(mode="json"), "policy": laid}
    (folder / "model.yaml").write_text(json.dumps(contract))
    (folder / "model.py").write_text(code)
    return find(workspace, name)


class Night:
    """A workspace whose clock is ``now``, and what happens in it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.now = START
        self.store = open_store(workspace.store_url)
        self.tracking = Tracking(workspace)
        self.snapshots = SnapshotPlace(workspace.snapshot_dir)
        self.bundles = BundlePlace(workspace.bundle_dir)
        self.desk = Desk(workspace, self.store, self.tracking, self.bundles, self.snapshots, self.clock)
        self.registry = CollectorRegistry()
        self.controllers: list[Controller] = []
        self._numbers = itertools.count()
        self._service: Service | None = None
        self._trained_on: dict[str, tuple[str, str]] = {}
        self._digests: dict[tuple[int, str], str] = {}

    @property
    def project(self) -> Project:
        return find(self.workspace, "churn")

    def clock(self) -> float:
        return self.now

    def controller(self, clock: Callable[[], float] | None = None, timer: Callable[[], float] = time.monotonic) -> Controller:
        made = Controller(self.workspace, self.store, ControllerMetrics(CollectorRegistry()), clock=clock or self.clock, timer=timer)
        self.controllers.append(made)
        return made

    # versions

    def trained_on(self, model: str = "churn") -> tuple[str, str]:
        """Return the snapshot that planted versions claim to be made from: its digest, and its name in DVC."""
        if model not in self._trained_on:
            # Every sound graph ranks these rows rightly, and so do the failing one, which knows 0 and 1, and the slow one.
            leaves = np.arange(TRAINING_ROWS) % 2
            who = ["known", *(f"trained{row}" for row in range(1, TRAINING_ROWS))]
            rows = {"tenure": leaves, "spend": np.where(leaves, 20, 200) + np.arange(TRAINING_ROWS) % 7.0}
            frame = pd.DataFrame({**rows, "customer": who, "left": np.where(leaves, "yes", "no")})
            kept = self.snapshots.save(model, frame, {"source": "log"})
            self._trained_on[model] = kept.digest, kept.dvc_md5
        return self._trained_on[model]

    def register(self, graph: bytes, *, turn: str | None = None, model: str = "churn", cut: float = CUT, card: Any = CARD) -> int:
        """Plant a version in MLflow, as a training would have left it."""
        made_of: dict[str, Any] = {"snapshot": self.trained_on(model)[1], "cut": cut, "turn_id": turn}
        bundle = small_bundles.put(self.workspace.bundle_dir, graph, model=model, card=card, **made_of)
        tags = {DIGEST_TAG: bundle.digest, **({TURN_TAG: turn} if turn else {})}
        with self.tracking.client() as client:
            if not client.search_registered_models(f"name = '{model}'"):
                client.create_registered_model(model)
            return int(client.create_model_version(model, "file:///planted", tags=tags).version)

    def digest(self, version: int, model: str = "churn") -> str:
        """Return the digest of a version's bundle."""
        if (version, model) not in self._digests:
            self._digests[version, model] = self.tracking.version(model, version).digest
        return self._digests[version, model]

    def promote(self, version: int, model: str = "churn") -> Deployment:
        """Give a version all traffic, as a person does who has the right verdict."""
        digest = self.tracking.version(model, version).digest
        with self.store.write() as conn:
            present = deployments.current(conn, model)
            slots = deployments.promoted(present, Slot("champion", version, digest, 1.0))
            expected = present.generation if present else 0
            return deployments.insert(conn, model, expected=expected, slots=slots, reason="a person", at=self.now)

    def champion(self, model: str = "churn") -> int:
        """Plant a sound version and deploy it."""
        version = self.register(small_bundles.answering(), model=model)
        self.promote(version, model)
        return version

    # turns

    def open_turn(self, step: str = "collect", **data: Any) -> Turn:
        with self.store.write() as conn:
            return turns.open_turn(
                conn, "churn", cause="a test", episode=None, step=step, at=self.now, data={"onset": CUT - 500, "champion": 1, **data}
            )

    def judged_turn(self, graph: bytes, **how: Any) -> Turn:
        """Return a turn at the gate, whose challenger is a planted version."""
        turn = self.open_turn("train", snapshot=self.trained_on()[0], cut=CUT, rows=1)
        version = self.register(graph, turn=turn.id, **how)
        with self.store.write() as conn:
            digest = self.tracking.version("churn", version).digest
            return turns.advance(conn, turn, step="judge", at=self.now, data={"version": version, "digest": digest})

    def alarm(self, version: int = 1, model: str = "churn", signal: Any = "drift", onset: float = CUT) -> None:
        with self.store.write() as conn:
            episodes.open_episode(conn, model, version=version, signal=signal, onset=onset, evidence={"reasons": ["a test"]}, at=self.now)

    # the log

    def log(
        self, rows: Rows, *, since: float, model: str = "churn", version: int = 1, entities: Sequence[str | None] | None = None
    ) -> None:
        """Log answered, labelled rows, a tenth of a second apart, each of an entity of its own."""
        numbers = [next(self._numbers) for _ in rows]
        times = [since + 0.1 * (place + 1) for place in range(len(rows))]
        common = {"model": model, "request_id": None}
        predictions = [
            {
                **common,
                "prediction_id": f"p{number}",
                "version": version,
                "digest": self.digest(version, model),
                "generation": 1,
                "role": "champion",
                "at": at,
                "seconds": 0.001,
                "status": "ok",
                "error": None,
                "entity": f"e{number}" if entities is None else entities[place],
                "row": np.array(row[:2], dtype="<f4").tobytes(),
                "scores": scores(row[0] + row[1]).tobytes(),
                "answer": "{}",
                "fallback": False,
            }
            for place, (number, at, row) in enumerate(zip(numbers, times, rows, strict=True))
        ]
        labels = [
            {
                **common,
                "label_id": f"l{number}",
                "prediction_id": f"p{number}",
                "entity": None,
                "value": row[2],
                "event_at": at,
                "received_at": at,
            }
            for number, at, row in zip(numbers, times, rows, strict=True)
        ]
        with self.store.write() as conn:
            log.insert_predictions(conn, predictions)
            log.insert_labels(conn, labels)
            joins.resolve_labels(conn, now=self.now, expire={})

    @property
    def service(self) -> Service:
        if self._service is None:
            self._service = Service(self.workspace.home)
        return self._service

    def serve(self, rows: Sequence[tuple[int, float]]) -> None:
        """Let a worker answer rows by the deployment as it is, and ship what it logs. What fails is logged, and no matter here."""
        self.now += 1
        self.service.now = self.now
        self.service.follower.look()
        for tenure, spend in rows:
            self.service.predict({"tenure": tenure, "spend": spend, "customer": f"live{next(self._numbers)}"})
        ship_all(self.store, self.workspace.spool_dir, self.bundles, clock=self.clock)

    # what became of it

    @property
    def deployment(self) -> Deployment:
        with self.store.read() as conn:
            return deployments.require(conn, "churn")

    def roles(self) -> dict[str, int]:
        """Return the version in each role that has traffic."""
        return {slot.role: slot.version for slot in self.deployment.slots if slot.weight}

    def turn(self) -> Turn:
        """Return the newest turn."""
        with self.store.read() as conn:
            return turns.recent(conn, "churn")[0]

    def turns(self) -> list[Turn]:
        with self.store.read() as conn:
            return turns.recent(conn, "churn")

    def verdict(self, version: int, kind: Any) -> Verdict:
        with self.store.read() as conn:
            found = verdicts.latest(conn, "churn", version, kind)
        assert found is not None
        return found

    def events(self, kind: str | None = None) -> list[Event]:
        with self.store.read() as conn:
            return [event for event in events.after(conn, 0, limit=10_000) if kind in {None, event.kind}]

    def close(self) -> None:
        for controller in self.controllers:
            controller.close()
        if self._service is not None:
            self._service.close()
        self.store.close()


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an MLflow database with its tables and nothing in them: to make them takes seconds."""
    workspace = Workspace(tmp_path_factory.mktemp("mlflow"), Settings())
    with Tracking(workspace).client():
        return workspace.home / "mlflow.db"


@pytest.fixture
def workspace(tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    root = tmp_path / "workspace"
    root.mkdir()
    (root / MARKER).write_text("offline = true\ncontroller_port = 0\ncontroller_seconds = 0.5\n")
    monkeypatch.setenv("TREADLE_WORKSPACE", str(root))
    found = Workspace.find(root)
    write_project(found)
    found.home.mkdir()
    shutil.copy(empty_mlflow, found.home)
    return found


@pytest.fixture
def night(workspace: Workspace) -> Iterator[Night]:
    made = Night(workspace)
    yield made
    made.close()
