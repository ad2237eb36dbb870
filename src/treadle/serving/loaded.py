"""What a worker has in memory: versions that can answer, and the snapshot of them that a request captures."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from treadle.bundle.place import Bundle
from treadle.engine.encode import Encoder
from treadle.engine.session import Engine, Single
from treadle.errors import DeadlineExceeded, DeploymentsUnknown, ModelBusy, ModelNotReady, ModelNotServed
from treadle.identity import Pseudonyms
from treadle.serving.breaker import Breaker
from treadle.serving.routing import Table
from treadle.spec.policy import ServingPolicy

INLINE_SECONDS = 0.001
"""Rows that take less than this are answered on the event loop: to hand them to a thread would cost more."""

Gone = Callable[[], Awaitable[object]]
"""Comes back when the caller has gone away."""


ShortWay = Callable[[object, str | None], bytes | None]
"""Takes one row and the caller's id of the request; returns the answer, or None where only the long way can tell what is to be done."""


class Abandoned(Exception):
    """The caller went away before the answer was there: nobody is to be told."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call may take, and how it ends otherwise: ``until`` is a time of the event loop's clock, ``seconds`` after its start."""

    until: float
    seconds: float
    queue: int
    gone: Gone | None = None


class Loaded:
    """One bundle, loaded and warmed. Its thread ends when the last request that holds it is done.

    Raises:
        GraphInvalid: the graph cannot be loaded.
        InferenceFailed: the graph fails on its own example.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.digest = bundle.digest
        self.interface = bundle.interface
        self.interface_digest = bundle.interface.digest
        self.card = bundle.card
        self.lineage: dict[str, object] = msgspec.to_builtins(bundle.manifest.lineage)
        self._engine = Engine(bundle)
        self.row_seconds = self._engine.warm()
        self.breaker = Breaker()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=bundle.digest[:12])
        self._waiting = 0

    def takes(self, rows: int) -> bool:
        """Tell whether so many rows are answered on the event loop."""
        return self.row_seconds * rows < INLINE_SECONDS

    def single(self) -> Single:
        """Return what runs this version on one row at a time, on the event loop."""
        return self._engine.single()

    async def run(self, matrix: NDArray[np.float32], limits: Limits) -> NDArray[np.float32]:
        """Return the scores of these rows. What takes long runs in the version's own thread, and ends at the deadline or with its caller.

        Raises:
            InferenceFailed: the graph failed on these rows.
            ModelBusy: too many calls wait for the thread already.
            DeadlineExceeded: the answer did not come in time.
            Abandoned: the caller went away.
        """
        if self.takes(len(matrix)):
            return self._engine.run(matrix)
        if self._waiting >= limits.queue:
            raise ModelBusy(self._engine.name, self._waiting)
        loop, halt = asyncio.get_running_loop(), ort.RunOptions()
        self._waiting += 1
        job = self._thread.submit(self._engine.run, matrix, halt)
        job.add_done_callback(lambda _: loop.call_soon_threadsafe(self._left))
        answer = asyncio.wrap_future(job)
        try:
            await _first(answer, limits)
            if answer.done():
                return answer.result()
        finally:
            # Not begun, it never runs; begun, it ends soon: nobody waits for it any more.
            if not job.cancel():
                halt.terminate = True
        if limits.until <= loop.time():
            raise DeadlineExceeded(self._engine.name, limits.seconds)
        raise Abandoned

    def _left(self) -> None:
        self._waiting -= 1


async def _first(answer: "asyncio.Future[NDArray[np.float32]]", limits: Limits) -> None:
    """Wait for the answer, the deadline, or the caller to go."""
    gone: asyncio.Future[Any] = asyncio.ensure_future(limits.gone() if limits.gone else asyncio.Event().wait())
    either: set[asyncio.Future[Any]] = {answer, gone}
    try:
        await asyncio.wait(either, timeout=limits.until - asyncio.get_running_loop().time(), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()


_DEFAULT = ServingPolicy()


@dataclass(frozen=True)
class Refusal:
    """A generation that could not be followed, and why; ``at`` in epoch seconds."""

    generation: int
    reason: str
    at: float


@dataclass(frozen=True)
class Routes:
    """Everything that a request needs, as it was at one moment.

    ``tables``, ``quick``, ``refused`` and ``policies`` are by model, ``loaded`` by digest: an unchanged digest keeps its session.
    ``encoders`` are by model and digest: what a row may carry beside what a version knows depends on the other versions of the model.
    ``quick`` has the short way of a model, ``policies`` those that can be read here, ``pseudonyms`` the models whose names are not logged
    as they are. ``trouble`` says why the deployments cannot be read at present; ``read`` whether they ever were.
    """

    tables: Mapping[str, Table] = field(default_factory=dict)
    encoders: Mapping[tuple[str, str], Encoder] = field(default_factory=dict)
    loaded: Mapping[str, Loaded] = field(default_factory=dict)
    quick: Mapping[str, ShortWay] = field(default_factory=dict)
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    policies: Mapping[str, ServingPolicy] = field(default_factory=dict)
    pseudonyms: Mapping[str, Pseudonyms] = field(default_factory=dict)
    trouble: str = ""
    read: bool = False

    def table(self, model: str) -> Table:
        """Return the routing table of a model.

        Raises:
            ModelNotReady: it is deployed, but could not be loaded.
            DeploymentsUnknown: what is deployed could not be read since this worker has started.
            ModelNotServed: it is not deployed; the error lists the models that are.
        """
        table = self.tables.get(model)
        if table is None:
            if model in self.refused:
                raise ModelNotReady(model, self.refused[model].reason)
            if not self.read:
                raise DeploymentsUnknown(self.trouble)
            raise ModelNotServed(model, self.tables)
        return table

    def champion(self, model: str) -> Loaded:
        """Return the loaded champion of a model; raises as ``table``."""
        return self.loaded[self.table(model).champion.digest]

    def encoder(self, table: Table) -> Encoder:
        """Return what checks the rows of requests: the champion's interface decides what is allowed, whoever answers."""
        return self.encoders[table.model, table.champion.digest]

    def policy(self, model: str) -> ServingPolicy:
        """Return what the model's policy says of slow and failing versions."""
        return self.policies.get(model, _DEFAULT)

    def logged(self, model: str, name: str | None) -> str | None:
        """Return what is logged of the name of an entity or of a request."""
        hidden = self.pseudonyms.get(model)
        return hidden.of(name) if hidden is not None and name is not None else name

    @property
    def missing(self) -> list[str]:
        """One sentence for each thing without which this worker is not ready."""
        if not self.read and not self.tables:
            return [self.trouble or "The deployments have not been read yet."]
        if not self.tables and not self.refused:
            return ["No model is deployed yet: train and promote one."]
        return [f"{model} cannot be served: {refusal.reason}" for model, refusal in self.refused.items() if model not in self.tables]
