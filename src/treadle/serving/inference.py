"""From the rows of a caller to answers that are in the log. Nothing here knows HTTP.

A call captures one immutable snapshot of the routes and works with it to its end, whatever is deployed meanwhile. When the chosen
version fails, the champion answers, and when that fails the fallback; each attempt is logged, and the answer says so.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from treadle.engine.table import Table as Columns
from treadle.errors import (
    BreakerOpen,
    DeadlineExceeded,
    FieldProblem,
    InferenceFailed,
    LogUnavailable,
    ModelBusy,
    PredictionFailed,
    RequestInvalid,
    TreadleError,
    VersionNotDeployed,
)
from treadle.serving.ids import uuid7, uuids7
from treadle.serving.loaded import Gone, Limits, Loaded, Routes, ShortWay
from treadle.serving.metrics import ServingMetrics, observe_many
from treadle.serving.quick import Quick
from treadle.serving.records import BatchRecord, EventRecord, PredictionRecord, Written, texts
from treadle.serving.routing import Table, choose
from treadle.serving.spool import SpoolWriter
from treadle.state.deployments import PINNED, Slot

BATCH_ROWS = 1000
"""Most rows (or labels) of one call: a longer one would hold up all others."""

COUNTED = (InferenceFailed, DeadlineExceeded)
"""What a breaker counts. A row that a version does not take, or a queue that is full, says nothing about its health."""

T = TypeVar("T")
Floats = NDArray[np.float32]
Clock = Callable[[], float]


class Asked(msgspec.Struct, frozen=True):
    """What a caller asks beside the rows: ``seconds`` until the answer is of no use, the ``version`` that is to answer."""

    request_id: str | None = None
    seconds: float | None = None
    version: int | None = None
    gone: Gone | None = None


ANYTHING = Asked()


def _never(_payload: object, _request_id: str | None) -> None:
    """Stand in for a short way where there is none."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: ``matrix`` float32 [n, features] by the champion's interface, and n of what is in a sequence."""

    routes: Routes
    table: Table
    asked: Asked
    at: float
    matrix: Floats
    payloads: Sequence[object]
    entities: Sequence[str | None]
    request_ids: Sequence[str | None]
    ids: Sequence[str]

    def parts(self) -> dict[Slot, Sequence[int]]:
        """Return the rows of each slot: a row goes by its entity, else by the request, else by chance.

        Raises:
            VersionNotDeployed: the caller names a version that is not there.
        """
        if self.asked.version is not None:
            return {self._pinned(self.asked.version): range(len(self.ids))}
        if len(self.table.weighted) == 1:
            return {self.table.weighted[0]: range(len(self.ids))}
        chosen: dict[Slot, list[int]] = {}
        for index, keys in enumerate(zip(self.entities, self.request_ids, self.ids, strict=True)):
            chosen.setdefault(choose(self.table, next(key for key in keys if key)), []).append(index)
        return dict(chosen)

    def _pinned(self, version: int) -> Slot:
        there = {slot.version: slot for slot in self.table.slots if slot.digest in self.routes.loaded}
        if version not in there:
            raise VersionNotDeployed(self.table.model, version, there)
        return there[version]

    def role(self, slot: Slot) -> str:
        """Return the role in which a slot answers this call."""
        return slot.role if self.asked.version is None else PINNED

    def candidates(self, chosen: Slot) -> Iterator[Slot]:
        """Yield the slots that may answer in place of each other, the chosen one first. Nothing stands in for one that was asked for."""
        tried: set[str] = set()
        for slot in (chosen, self.table.champion, self.table.fallback) if self.asked.version is None else (chosen,):
            if slot is not None and slot.digest in self.routes.loaded and slot.digest not in tried:
                tried.add(slot.digest)
                yield slot

    def logged(self, names: Sequence[str | None]) -> list[str | None] | None:
        """Return names as they are logged, or None where there is none among them."""
        if not any(names):
            return None
        model, logged = self.table.model, self.routes.logged
        return [logged(model, name) for name in names] if model in self.routes.pseudonyms else list(names)

    def encoded(self, loaded: Loaded, rows: Sequence[int]) -> Floats:
        """Return these rows as the version's own interface encodes them.

        Raises:
            RequestInvalid: the champion's interface takes these rows, that of this version does not.
        """
        if loaded.interface_digest == self.routes.loaded[self.table.champion.digest].interface_digest:
            return self.matrix if len(rows) == len(self.matrix) else self.matrix[rows]
        return self.routes.encoders[self.table.model, loaded.digest].batch([self.payloads[index] for index in rows])[0]


class Part(NamedTuple):
    """Rows of a call (their places in it) that one version answered: ``matrix`` float32 [n, f] as it saw them, ``scores`` [n, k]."""

    slot: Slot
    classes: tuple[str, ...]
    rows: Sequence[int]
    matrix: Floats
    scores: Floats
    seconds: float
    fallback: bool

    def record(self, call: Call) -> BatchRecord:
        """Return what is logged of them."""
        return BatchRecord(
            prediction_ids="".join(_at(call.ids, self.rows)),
            model=call.table.model,
            version=self.slot.version,
            digest=self.slot.digest,
            generation=call.table.generation,
            role=call.role(self.slot),
            at=call.at,
            seconds=self.seconds,
            rows=self.matrix.tobytes(),
            scores=self.scores.tobytes(),
            classes=self.classes,
            request_ids=call.logged(_at(call.request_ids, self.rows)),
            entities=call.logged(_at(call.entities, self.rows)),
            fallback=self.fallback,
        )


class Answered(NamedTuple):
    """What a call was answered: its ids, and the parts that versions answered, which together have every row once."""

    model: str
    ids: Sequence[str]
    parts: Sequence[Part]

    def told(self) -> list[str]:
        """Return the answers in the order of the rows, each the JSON that is logged."""
        answers = [""] * len(self.ids)
        for part in self.parts:
            ids = _at(self.ids, part.rows)
            told = texts(ids, self.model, part.slot.version, part.classes, part.scores, fallback=part.fallback)
            for index, text in zip(part.rows, told, strict=True):
                answers[index] = text
        return answers


class Inference:
    """Answers rows with what ``routes`` holds at the moment; whoever follows the deployments replaces that attribute."""

    def __init__(
        self,
        spool: SpoolWriter,
        metrics: ServingMetrics,
        *,
        clock: Clock = time.time,
        timer: Clock = time.perf_counter,
        pause: Callable[[int], float] = lambda _rows: 0.0,
    ) -> None:
        self.routes = Routes()
        self._pause = pause
        self._spool = spool
        self._metrics = metrics
        self._clock = clock
        self._timer = timer

    async def predict(self, model: str, payload: object, asked: Asked = ANYTHING) -> bytes:
        """Return the answer to one row, as the JSON that is logged.

        Raises:
            ModelNotServed: no such model is deployed.
            ModelNotReady: it is deployed, but could not be loaded.
            RequestInvalid: the row does not fit the champion's interface.
            PredictionFailed: no version could answer; the attempts are logged.
            LogUnavailable: the answer could not be logged, so there is none.
        """
        started = self._timer()
        routes = self.routes
        table = routes.table(model)
        matrix, entity = routes.encoder(table).matrix(payload)
        at = self._clock()
        call = Call(routes, table, asked, at, matrix, [payload], [entity], [asked.request_id], [uuid7(at)])
        return (await self._answer(call, started)).told()[0].encode()

    async def predict_batch(self, model: str, payloads: object, asked: Asked = ANYTHING) -> Answered:
        """Return the answers to many rows, a list or a table; each may be another version's. Raises as ``predict`` does.

        Row i is logged under the request id ``<request_id>/<i>``, so that a label names one row.
        """
        started = self._timer()
        routes = self.routes
        table = routes.table(model)
        encoder = routes.encoder(table)
        rows = encoder.table(payloads) if isinstance(payloads, Columns) else listed(payloads, "rows")
        matrix, entities = encoder.batch(rows)
        if seconds := self._pause(len(rows)):
            await asyncio.sleep(seconds if asked.seconds is None else min(seconds, asked.seconds / 2))
        at, count = self._clock(), len(rows)
        request_ids = [f"{asked.request_id}/{index}" for index in range(count)] if asked.request_id else [None] * count
        call = Call(routes, table, asked, at, matrix, rows, entities, request_ids, uuids7(at, count))
        return await self._answer(call, started)

    def quick(self, routes: Routes, model: str) -> ShortWay:
        """Return the short way of a model: ``predict`` for a caller who asks nothing special; to be taken on the event loop."""
        if self._spool.durable:
            return _never  # to wait for the disk takes the long way
        table = routes.table(model)
        return Quick(
            table,
            routes.encoder(table),
            routes.loaded,
            self._metrics,
            log=self._append,
            clock=self._clock,
            timer=self._timer,
            hidden=routes.pseudonyms.get(model),
        ).answer

    async def log(self, records: Sequence[Written]) -> None:
        """Put records into the spool, and wait until they are as safe as the settings ask.

        Raises:
            LogUnavailable: they could not be written.
        """
        ticket = self._append(records)
        try:
            await self._spool.settled(ticket)
        except LogUnavailable:
            self._metrics.log_unavailable.inc()
            raise

    def _append(self, records: Sequence[Written]) -> int:
        try:
            return self._spool.append(records)
        except LogUnavailable:
            self._metrics.log_unavailable.inc()
            raise

    async def _answer(self, call: Call, started: float) -> Answered:
        answered: list[Part] = []
        failed: list[PredictionRecord] = []
        errors: list[TreadleError] = []
        for slot, rows in call.parts().items():
            part = await self._attempts(call, slot, rows, failed, errors)
            answered += [part] if part else []
        if sum(len(part.rows) for part in answered) < len(call.ids):
            # The rows that other versions did answer are not told to the caller either, so they are not logged.
            await self.log(failed)
            self._count(call, (), failed)
            raise _outcome(call.table.model, errors, failed)
        await self.log([*failed, *(part.record(call) for part in answered)])
        self._count(call, answered, failed)
        self._metrics.duration(call.table.model).observe(self._timer() - started)
        return Answered(call.table.model, call.ids, answered)

    async def _attempts(
        self, call: Call, chosen: Slot, rows: Sequence[int], failed: list[PredictionRecord], errors: list[TreadleError]
    ) -> Part | None:
        """Ask one version after the other; return what the first that could has answered, and add what ``failed`` before."""
        policy, limits = call.routes.policy(call.table.model), self._limits(call)
        for slot in call.candidates(chosen):
            loaded = call.routes.loaded[slot.digest]
            if not loaded.breaker.admits(self._timer(), reset=policy.reset):
                resting = BreakerOpen(call.table.model, loaded.breaker.rests(self._timer(), reset=policy.reset))
                errors.append(resting)
                if slot is chosen:
                    # It has not answered what was its to answer: a canary is judged by that too.
                    failed += _failures(call, slot, rows, None, error=resting.sentence, seconds=0.0)
                continue
            matrix: Floats | None = None
            started = self._timer()
            try:
                matrix = call.encoded(loaded, rows)
                scores = await loaded.run(matrix, limits)
            except TreadleError as error:
                self._failed(call, slot, error)
                errors.append(error)
                seconds = (self._timer() - started) / len(rows)
                failed += _failures(call, slot, rows, matrix, error=error.sentence, seconds=seconds)
                continue
            except BaseException:
                loaded.breaker.abandoned()
                raise
            self._succeeded(call, slot)
            seconds = (self._timer() - started) / len(rows)
            return Part(slot, loaded.interface.target.classes, rows, matrix, scores, seconds, slot is not chosen)
        return None

    def _limits(self, call: Call) -> Limits:
        policy = call.routes.policy(call.table.model)
        seconds = policy.deadline if call.asked.seconds is None else min(policy.deadline, call.asked.seconds)
        return Limits(asyncio.get_running_loop().time() + seconds, seconds, policy.queue, call.asked.gone)

    def _failed(self, call: Call, slot: Slot, error: TreadleError) -> None:
        """Tell the breaker of the version, and the record if that has opened it."""
        model, breaker = call.table.model, call.routes.loaded[slot.digest].breaker
        if not isinstance(error, COUNTED):
            breaker.abandoned()
        elif breaker.failed(self._timer(), threshold=call.routes.policy(model).failures):
            self._metrics.version(model, slot.version).breaker.set(1)
            self._tell("breaker.opened", call, {"version": slot.version, "failures": breaker.failures, "error": error.sentence})

    def _succeeded(self, call: Call, slot: Slot) -> None:
        if call.routes.loaded[slot.digest].breaker.succeeded():
            self._metrics.version(call.table.model, slot.version).breaker.set(0)
            self._tell("breaker.closed", call, {"version": slot.version})

    def _tell(self, kind: str, call: Call, data: dict[str, Any]) -> None:
        # A full disk must not turn an answer into an error: /models shows the breaker too.
        with suppress(LogUnavailable):
            self._spool.append([EventRecord(kind, call.table.model, {"worker": os.getpid(), **data}, call.at)])

    def _count(self, call: Call, answered: Sequence[Part], failed: Sequence[PredictionRecord]) -> None:
        model = call.table.model
        for version, rows in Counter(record.version for record in failed).items():
            self._metrics.version(model, version).errors.inc(rows)
        for part in answered:
            self._metrics.version(model, part.slot.version).predictions.inc(len(part.rows))
            if part.classes:
                observe_many(self._metrics.confidence(model), part.scores.max(axis=1))


def _outcome(model: str, errors: Sequence[TreadleError], failed: Sequence[PredictionRecord]) -> TreadleError:
    """Return what the caller is told when nobody could answer: what passes by itself is told as such."""
    for kind in (DeadlineExceeded, ModelBusy):
        for error in errors:
            if isinstance(error, kind):
                return error
    resting = [error for error in errors if isinstance(error, BreakerOpen)]
    if len(resting) == len(errors) and resting:
        return min(resting, key=lambda error: error.retry_after)
    return PredictionFailed(model, sorted({f"Version {record.version}: {record.error}" for record in failed}))


def listed(payloads: object, field: str) -> list[object]:
    """Return the list that a batch holds.

    Raises:
        RequestInvalid: it is no list, or an empty or too long one.
    """
    if isinstance(payloads, list) and 0 < len(payloads) <= BATCH_ROWS:
        return payloads
    found = f"a list of {len(payloads)}" if isinstance(payloads, list) else None
    raise RequestInvalid([FieldProblem(field, found, f"a list of 1 to {BATCH_ROWS}")])


def _at(values: Sequence[T], rows: Sequence[int]) -> Sequence[T]:
    """Return the values at these places."""
    return values if len(rows) == len(values) else [values[index] for index in rows]


def _failures(call: Call, slot: Slot, rows: Sequence[int], matrix: Floats | None, *, error: str, seconds: float) -> list[PredictionRecord]:
    """Return the records of an attempt that failed; ids of their own keep them apart from the answers."""
    return [
        PredictionRecord(
            prediction_id=uuid7(call.at),
            model=call.table.model,
            version=slot.version,
            digest=slot.digest,
            generation=call.table.generation,
            role=call.role(slot),
            at=call.at,
            seconds=seconds,
            row=b"" if matrix is None else matrix[place].tobytes(),
            status="failed",
            error=error,
            request_id=call.routes.logged(call.table.model, call.request_ids[index]),
            entity=call.routes.logged(call.table.model, call.entities[index]),
        )
        for place, index in enumerate(rows)
    ]
