"""Where a drill happens: a model that is served, the controller that watches it, and the traffic that is sent."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from treadle.bundle.place import BundlePlace
from treadle.client import Client
from treadle.errors import DrillImpossible, NotDeployed, RequestRefused
from treadle.identity import shown_key
from treadle.monitoring.observe import Observation, observe
from treadle.projects import Project
from treadle.retraining.controller import LEASE
from treadle.settings import Workspace
from treadle.simulation.traffic import Pace, Tally, Traffic
from treadle.simulation.world import World, open_world
from treadle.state import deployments, lease
from treadle.state.deployments import Slot
from treadle.state.store import Store

RATE = 100.0
"""Rows per second that a drill sends."""

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Scene:
    """What every drill needs. ``tell`` gets a sentence for each thing that happens; ``seconds`` is how long it may take."""

    workspace: Workspace
    store: Store
    project: Project
    url: str
    seconds: float
    seed: int
    tell: Callable[[str], None]
    clock: Callable[[], float] = time.time

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.project.name

    def champion(self) -> Slot:
        """Return the champion.

        Raises:
            NotDeployed: there is none.
        """
        with self.store.read() as conn:
            found = deployments.require(conn, self.model).champion
        if found is None:
            raise NotDeployed(self.model)
        return found

    def require_service(self) -> None:
        """Make sure that the service answers for the model.

        Raises:
            ServiceUnreachable, NoService: nothing answers, or something else does.
            DrillImpossible: it does not serve the model.
        """
        self.champion()
        try:
            with Client(self.url, shown_key(), timeout=TIMEOUT_SECONDS) as client:
                client.model(self.model)
        except RequestRefused as error:
            reason = f"the service at {self.url} answers {error.status} for the model {self.model}"
            raise DrillImpossible(reason, "`treadle status` shows what is deployed.") from error

    def controller(self) -> str | None:
        """Return who holds the controller's lease; None if nobody does."""
        with self.store.read() as conn:
            return lease.holder(conn, LEASE, now=self.clock())

    def require_controller(self) -> str:
        """Return who holds the controller's lease.

        Raises:
            DrillImpossible: no controller runs.
        """
        holder = self.controller()
        if holder is None:
            raise DrillImpossible("no controller watches this workspace", "Start one with `treadle loop`, or everything with `treadle up`.")
        return holder

    def observe(self) -> Observation:
        """Return what the monitoring sees of the champion now."""
        return observe(self.store, BundlePlace.of(self.workspace), self.project, now=self.clock())

    def world(self) -> World:
        """Return the model's world."""
        self.tell(f"Opening the world of {self.model} …")
        return open_world(self.workspace, self.project, seed=self.seed)

    def traffic(self, world: World, *, labels: bool = True) -> Traffic:
        """Return a client that sends rows of the world; without ``labels`` it never tells what was true."""
        pace = Pace(rate=RATE, delay=2.0 if labels else math.inf)
        return Traffic(self.url, self.model, self.project.contract.interface, world, pace)

    def send(self, traffic: Traffic, *, labels: bool = True, seconds: float | None = None) -> Tally:
        """Send traffic for as long as the drill may take, tell the labels that are due, and return what was sent."""

        async def sent() -> Tally:
            await traffic.run(self.seconds if seconds is None else seconds)
            if labels:
                await traffic.settle()
            return traffic.tally

        return asyncio.run(sent())
