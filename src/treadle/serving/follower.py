"""Follow the deployments: see a new generation, load and warm its bundles, replace the routes by one assignment.

A generation whose bundles cannot be loaded is refused: the one before it keeps answering, also on a worker that starts only then.
The refusal is shown, logged as an event and tried again from time to time. While the store is away the last routes stay, and a worker
that starts only then answers with those that this host has followed last.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from treadle.bundle.place import BundlePlace
from treadle.engine.encode import Encoder
from treadle.errors import LogUnavailable, StoreUnavailable, TreadleError
from treadle.identity import Pseudonyms
from treadle.serving.inference import Inference
from treadle.serving.loaded import Loaded, Refusal, Routes
from treadle.serving.memory import Followed, Memory
from treadle.serving.metrics import ServingMetrics
from treadle.serving.policies import Policies
from treadle.serving.records import EventRecord
from treadle.serving.routing import Table, table
from treadle.serving.spool import SpoolWriter
from treadle.state import deployments
from treadle.state.deployments import Deployment, Slot
from treadle.state.store import Store

RETRY_SECONDS = 5.0
"""How long a refused generation rests before it is tried again."""

Hide = Callable[[str], Pseudonyms]
"""Returns what stands in the log for the names of a model."""

LOOK_BACK = 10
"""How many earlier generations a worker tries that starts when the present one is refused."""

logger = logging.getLogger(__name__)


class Follower:
    """Keeps ``inference.routes`` at the current deployments. ``look`` may run in any thread, one at a time."""

    def __init__(  # noqa: PLR0913 - the parts of a worker that it works with
        self,
        inference: Inference,
        connect: Callable[[], Store],
        bundles: BundlePlace,
        spool: SpoolWriter,
        metrics: ServingMetrics,
        memory: Memory,
        *,
        policies: Policies,
        hide: Hide,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._inference = inference
        self._connect = connect
        self._bundles = bundles
        self._spool = spool
        self._metrics = metrics
        self._memory = memory
        self._policies = policies
        self._hide = hide
        self._followed_now: dict[str, Deployment] = {}
        self._past: dict[str, frozenset[str]] = {}
        self._clock = clock
        self._store: Store | None = None
        self._fields: dict[str, frozenset[str]] = {}

    async def run(self, seconds: float) -> None:
        """Look every so many seconds, in a thread, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await asyncio.to_thread(self.look)
            except Exception:
                # Whatever it was: a worker that answers but follows no longer is the worse end.
                logger.exception("The deployments could not be followed; the last ones keep answering.")

    def look(self) -> None:
        """Look once, and follow what has changed."""
        routes = self._inference.routes
        try:
            changed = self._changed(routes)
            routes = replace(routes, trouble="", read=True)
            for deployment in changed:
                routes = self._followed(routes, deployment)
            if changed:
                self._memory.keep(Followed(self._followed_now, self._past))
        except StoreUnavailable as error:
            routes = replace(routes if routes.read or routes.tables else self._remembered(routes), trouble=error.what)
            # The connections go too: what comes back may be another file under the same name, put there from a backup.
            self.close()
        self._publish(replace(routes, policies=self._policies.of(routes.tables)))

    def close(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            self._store.close()

    def _changed(self, routes: Routes) -> list[Deployment]:
        """Return the deployments that are due: not followed yet, and not refused a moment ago."""
        with self._connected().read() as conn:
            due = [model for model, generation in deployments.generations(conn).items() if self._due(routes, model, generation)]
            return [deployment for model, deployment in deployments.current_all(conn).items() if model in due] if due else []

    def _connected(self) -> Store:
        if self._store is None:
            self._store = self._connect()
        return self._store

    def _due(self, routes: Routes, model: str, generation: int) -> bool:
        refusal = routes.refused.get(model)
        if refusal is not None and refusal.generation == generation:
            # A clock that was put back does not make it rest until it has caught up.
            return not 0 <= self._clock() - refusal.at < RETRY_SECONDS
        return model not in routes.tables or routes.tables[model].generation != generation

    def _followed(self, routes: Routes, deployment: Deployment) -> Routes:
        """Return the routes with this deployment in them, or with its refusal."""
        model = deployment.model
        past = self._past_fields(model)
        try:
            taken = self._taken(routes, deployment, past)
        except TreadleError as error:
            routes = self._refused(routes, deployment, error)
            return routes if model in routes.tables else self._earlier(routes, deployment, past)
        return replace(taken, refused={name: refusal for name, refusal in routes.refused.items() if name != model})

    def _remembered(self, routes: Routes) -> Routes:
        """Return the routes of what this host has followed last, as far as its bundles can be loaded."""
        known = self._memory.read()
        for model, deployment in known.deployments.items():
            with contextlib.suppress(TreadleError):
                routes = self._taken(routes, deployment, known.fields.get(model, frozenset()))
        return routes

    def _taken(self, routes: Routes, deployment: Deployment, past: frozenset[str]) -> Routes:
        loaded = {slot.digest: self._load(routes, slot) for slot in deployment.slots if slot.role != "fallback"}
        if deployment.fallback is not None:
            loaded |= self._load_fallback(routes, deployment, deployment.fallback)
        versions = [slot.version for slot in deployment.slots]
        self._tell("deployment.followed", deployment.model, {"generation": deployment.generation, "versions": versions})
        tables = {**routes.tables, deployment.model: table(deployment)}
        encoders = {key: encoder for key, encoder in routes.encoders.items() if key[0] != deployment.model}
        encoders |= _encoders(deployment, loaded, past)
        # One version that asks for it is enough: its callers' names must not depend on which version answers them. Without the key the
        # generation is refused, for what is logged in clear cannot be taken back.
        hidden = {name: known for name, known in routes.pseudonyms.items() if name != deployment.model}
        if any(item.interface.pseudonymize for item in loaded.values()):
            hidden[deployment.model] = self._hide(deployment.model)
        self._followed_now[deployment.model], self._past[deployment.model] = deployment, past
        used = _used(tables, {**routes.loaded, **loaded})
        routes = replace(routes, tables=tables, encoders=encoders, loaded=used, pseudonyms=hidden)
        return replace(routes, quick={**routes.quick, deployment.model: self._inference.quick(routes, deployment.model)})

    def _past_fields(self, model: str) -> frozenset[str]:
        """Return the fields of every version that has had a role: whoever was told to send one is not refused after a rollback."""
        with self._connected().read() as conn:
            digests = {slot.digest for item in deployments.history(conn, model) for slot in item.slots}
        return frozenset().union(*map(self._fields_of, digests))

    def _fields_of(self, digest: str) -> frozenset[str]:
        """Return the fields that a version knows; none where its bundle is gone."""
        if digest not in self._fields:
            with contextlib.suppress(TreadleError):
                interface = self._bundles.interface(digest)
                self._fields[digest] = frozenset(interface.feature_names) | ({interface.entity} if interface.entity else frozenset())
        return self._fields.get(digest, frozenset())

    def _refused(self, routes: Routes, deployment: Deployment, error: TreadleError) -> Routes:
        before = routes.refused.get(deployment.model)
        refusal = Refusal(deployment.generation, error.sentence, self._clock())
        if before is None or (before.generation, before.reason) != (refusal.generation, refusal.reason):
            self._tell("bundle.refused", deployment.model, {"generation": refusal.generation, "reason": refusal.reason})
        return replace(routes, refused={**routes.refused, deployment.model: refusal})

    def _earlier(self, routes: Routes, deployment: Deployment, past: frozenset[str]) -> Routes:
        """Return the routes with the last generation before this one that can be loaded: the other workers still answer with it."""
        with self._connected().read() as conn:
            known = deployments.history(conn, deployment.model)
        older = [item for item in known if item.generation < deployment.generation]
        for item in older[: -LOOK_BACK - 1 : -1]:
            with contextlib.suppress(TreadleError):
                return self._taken(routes, item, past)
        return routes

    def _load(self, routes: Routes, slot: Slot) -> Loaded:
        return routes.loaded.get(slot.digest) or Loaded(self._bundles.get(slot.digest))

    def _load_fallback(self, routes: Routes, deployment: Deployment, slot: Slot) -> dict[str, Loaded]:
        """Load a version that only stands in; a damaged one must not keep a sound champion out."""
        try:
            return {slot.digest: self._load(routes, slot)}
        except TreadleError as error:
            reason = f"The fallback is missing: {error.sentence}"
            self._tell("bundle.refused", deployment.model, {"generation": deployment.generation, "reason": reason})
            return {}

    def _publish(self, routes: Routes) -> None:
        before = _versions(self._inference.routes)
        after = _versions(routes)
        self._inference.routes = routes
        for model, version in after - before:
            self._metrics.version(model, version).loaded.set(1)
        for model, version in before - after:
            self._metrics.version(model, version).loaded.set(0)

    def _tell(self, kind: str, model: str, data: dict[str, Any]) -> None:
        # A full disk must not keep a worker on an old version: what happened is also in /ready and /models.
        with contextlib.suppress(LogUnavailable):
            self._spool.append([EventRecord(kind, model, data, self._clock())])


def _encoders(deployment: Deployment, loaded: Mapping[str, Loaded], past: frozenset[str]) -> dict[tuple[str, str], Encoder]:
    """Return what checks and encodes rows for each version: none refuses a field that another one knows, or knew in the ``past``."""
    ranked = [loaded[slot.digest].interface for slot in deployment.slots if slot.digest in loaded]
    return {
        (deployment.model, digest): Encoder(item.interface, [one for one in ranked if one is not item.interface], past)
        for digest, item in loaded.items()
    }


def _used(tables: Mapping[str, Table], loaded: Mapping[str, Loaded]) -> dict[str, Loaded]:
    """Return what the tables still name; the rest ends with the last call that holds it."""
    named = {slot.digest for table in tables.values() for slot in table.slots}
    return {digest: item for digest, item in loaded.items() if digest in named}


def _versions(routes: Routes) -> set[tuple[str, int]]:
    return {(model, slot.version) for model, table in routes.tables.items() for slot in table.slots if slot.digest in routes.loaded}
