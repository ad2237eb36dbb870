"""One serving worker's parts in this process, around real bundles, a real store and a real spool; only the clocks are ours."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
from prometheus_client import CollectorRegistry

from tests import small_bundles
from treadle.bundle.place import BundlePlace
from treadle.identity import pseudonyms
from treadle.serving.admin import Admin
from treadle.serving.app import create_app
from treadle.serving.follower import Follower
from treadle.serving.guard import Guard
from treadle.serving.inference import Asked, Inference
from treadle.serving.loaded import Routes
from treadle.serving.memory import Memory
from treadle.serving.metrics import ServingMetrics
from treadle.serving.people import People
from treadle.serving.policies import Policies
from treadle.serving.records import ConsentRecord, EventRecord, LabelRecord, PredictionRecord, Record, apart
from treadle.serving.spool import SpoolWriter, read_frames, salt_of, segments
from treadle.settings import Settings, Workspace
from treadle.spec import Interface
from treadle.state import deployments
from treadle.state.deployments import Role, Slot
from treadle.state.store import Store, open_store


class Service:
    """A worker without its process."""

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        self.now = 1_800_000_000.0
        self.ahead = 0.0
        # Of the guard: a second later each time it looks, so that it always looks whether the keys have changed.
        self.ticks = itertools.count(1.0)
        self.bundles = folder / "bundles"
        self.spool_folder = folder / "spool"
        self.url = f"sqlite:///{folder / 'state.db'}"
        self.store = open_store(self.url)
        self.registry = CollectorRegistry()
        self.spool = SpoolWriter(self.spool_folder, segment_bytes=1_000_000)
        self.memory = Memory(folder / "followed.json")
        self.workspace = workspace = Workspace(folder, settings or Settings(home=Path()))
        self.policies = Policies(workspace)
        self._metrics = metrics = ServingMetrics(self.registry)
        self.inference = Inference(self.spool, metrics, clock=self.clock, timer=lambda: time.perf_counter() + self.ahead)
        self.connect: Callable[[], Store] = lambda: open_store(self.url)
        self.follower = self._follower()
        self.people = People(workspace, self._connected)
        admin = Admin(workspace, self._connected, people=self.people, clock=self.clock)
        app = create_app(self.inference, self.registry, people=self.people, admin=admin, clock=self.clock)
        self.app = Guard(app, workspace, refused=metrics.refused, log=self.inference.log, clock=self.ticks.__next__, wall=self.clock)

    def _follower(self) -> Follower:
        place = BundlePlace(self.bundles)
        return Follower(
            self.inference,
            self._connected,
            place,
            self.spool,
            self._metrics,
            self.memory,
            policies=self.policies,
            hide=partial(pseudonyms, self.workspace),
            clock=self.clock,
        )

    def clock(self) -> float:
        return self.now

    def _connected(self) -> Store:
        return self.connect()

    def slot(
        self, graph: bytes, version: int, role: Role = "champion", weight: float = 1.0, interface: Interface = small_bundles.INTERFACE
    ) -> Slot:
        """Seal a bundle around a graph, and return a slot that names it."""
        return Slot(role, version, small_bundles.put(self.bundles, graph, interface).digest, weight)

    def deploy(self, *slots: Slot, model: str = "churn") -> None:
        with self.store.write() as conn:
            expected = deployments.generations(conn).get(model, 0)
            deployments.insert(conn, model, expected=expected, slots=slots, reason="a test", at=self.now)

    def follow(self, *slots: Slot, model: str = "churn") -> None:
        self.deploy(*slots, model=model)
        self.follower.look()

    def restart(self) -> None:
        """Forget what is loaded and known, as a worker that has just started."""
        self.follower.close()
        self.inference.routes = Routes()
        self.follower = self._follower()
        self.follower.look()

    def predict(self, payload: object = small_bundles.ROW, model: str = "churn", request_id: str | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = msgspec.json.decode(asyncio.run(self.inference.predict(model, payload, Asked(request_id))))
        return answer

    def predict_batch(self, payloads: object, model: str = "churn", request_id: str | None = None) -> list[dict[str, Any]]:
        return list(map(json.loads, asyncio.run(self.inference.predict_batch(model, payloads, Asked(request_id))).told()))

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Send one request to the application, without a network."""

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://treadle") as client:
                return await client.request(method, path, **how)

        return asyncio.run(asked())

    def records(self) -> list[Record]:
        found: list[Record] = []
        for path in segments(self.spool_folder):
            found += apart(read_frames(path.read_bytes(), salt_of(path), final=True).records)
        return found

    def predictions(self) -> list[PredictionRecord]:
        return [record for record in self.records() if isinstance(record, PredictionRecord)]

    def labels(self) -> list[LabelRecord]:
        return [record for record in self.records() if isinstance(record, LabelRecord)]

    def consents(self) -> list[ConsentRecord]:
        return [record for record in self.records() if isinstance(record, ConsentRecord)]

    def events(self) -> list[tuple[str, str | None]]:
        return [(record.kind, record.model) for record in self.records() if isinstance(record, EventRecord)]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def close(self) -> None:
        self.follower.close()
        self.people.close()
        self.spool.close()
        self.store.close()
