"""A bounded stream of requests from a simulated world, with labels that come late."""

import asyncio
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from treadle.client import AsyncClient, Label, Prediction
from treadle.errors import TreadleError
from treadle.identity import shown_key
from treadle.simulation.world import World
from treadle.spec import BooleanFeature, CategoryFeature, DateFeature, Feature, Interface

TICK = 0.1
"""Seconds between two bites of traffic."""

LABELS_PER_POST = 500


@dataclass(frozen=True)
class Pace:
    """How much traffic, and how late its labels.

    ``rate`` is rows per second, ``singles`` the share of them sent one by one (the rest goes in batches), ``delay`` the
    seconds until the true label of a row is told.
    """

    rate: float = 200.0
    singles: float = 0.3
    delay: float = 2.0


@dataclass(frozen=True)
class Received:
    """One answer as the client saw it."""

    prediction_id: str
    version: int
    answer: str


@dataclass
class Tally:
    """What the client sent, and what it got."""

    requests: int = 0
    rows: int = 0
    failed: int = 0
    labels: int = 0
    received: list[Received] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Due:
    at: float
    prediction_id: str
    value: str


class Traffic:
    """One client of one model. ``shifted`` may be set while it runs: the world has changed."""

    def __init__(
        self, url: str, model: str, interface: Interface, world: World, pace: Pace, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.shifted = False
        self.tally = Tally()
        self._url = url.rstrip("/")
        self._model = model
        self._interface = interface
        self._world = world
        self._pace = pace
        self._clock = clock
        self._due: list[_Due] = []
        self._owed = 0.0

    async def run(self, seconds: float, *, stop: asyncio.Event | None = None) -> Tally:
        """Send traffic for ``seconds`` or until ``stop`` is set, and return the tally.

        Raises:
            ServiceUnreachable, NoService: nothing answers at the address when the stream starts, or something else does.
        """
        async with self._client() as client:
            await client.health()
            end = self._clock() + seconds
            while self._clock() < end and not (stop and stop.is_set()):
                began = self._clock()
                await self._bite(client)
                await asyncio.sleep(max(0.0, TICK - (self._clock() - began)))
        return self.tally

    async def settle(self) -> None:
        """Tell the labels that are still due, at once."""
        async with self._client() as client:
            await self._tell_labels(client, before=math.inf)

    def _client(self) -> AsyncClient:
        # Each failure is to be seen, and each row to be in the log once.
        return AsyncClient(self._url, shown_key(), retries=0)

    async def _bite(self, client: AsyncClient) -> None:
        self._owed += self._pace.rate * TICK
        count = int(self._owed)
        self._owed -= count
        if count:
            frame = self._world.draw(count, shifted=self.shifted)
            payloads = to_payloads(self._interface, frame)
            truths = [str(value) for value in frame[self._interface.target.name]]
            alone = round(count * self._pace.singles)
            await asyncio.gather(
                *(self._one(client, payload, truth) for payload, truth in zip(payloads[:alone], truths[:alone], strict=True)),
                self._many(client, payloads[alone:], truths[alone:]),
            )
        await self._tell_labels(client, before=self._clock())

    async def _one(self, client: AsyncClient, payload: dict[str, Any], truth: str) -> None:
        with self._counted(1):
            self._keep([await client.predict(self._model, payload)], [truth])

    async def _many(self, client: AsyncClient, payloads: list[dict[str, Any]], truths: list[str]) -> None:
        if payloads:
            with self._counted(len(payloads)):
                self._keep(await client.predict_batch(self._model, payloads), truths)

    @contextmanager
    def _counted(self, rows: int) -> Iterator[None]:
        """Count a request, and its failure."""
        self.tally.requests += 1
        self.tally.rows += rows
        try:
            yield
        except TreadleError as error:
            self.tally.failed += 1
            self.tally.failures.append(error.sentence)

    def _keep(self, answers: list[Prediction], truths: list[str]) -> None:
        at = self._clock() + self._pace.delay
        for answer, truth in zip(answers, truths, strict=True):
            self.tally.received.append(Received(answer.prediction_id, answer.version, canonical_answer(json.loads(answer.answer))))
            self._due.append(_Due(at, answer.prediction_id, truth))

    async def _tell_labels(self, client: AsyncClient, *, before: float) -> None:
        ready = [due for due in self._due if due.at <= before]
        if not ready:
            return
        self._due = [due for due in self._due if due.at > before]
        for start in range(0, len(ready), LABELS_PER_POST):
            part = ready[start : start + LABELS_PER_POST]
            try:
                self.tally.labels += await client.labels(
                    self._model, [Label(prediction_id=due.prediction_id, value=due.value) for due in part]
                )
            except TreadleError:
                self._due += part


def canonical_answer(answer: dict[str, Any]) -> str:
    """Return an answer as text that is equal for equal answers, whatever the order of its keys."""
    return json.dumps(answer, sort_keys=True)


def to_payloads(interface: Interface, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of ``frame`` as request bodies: features that are present, and the entity."""
    columns = {feature.name: _json_values(feature, frame[feature.name]) for feature in interface.features}
    if interface.entity is not None:
        columns[interface.entity] = [str(value) for value in frame[interface.entity]]
    names = list(columns)
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None} for row in zip(*columns.values(), strict=True)
    ]


def _json_values(feature: Feature, column: "pd.Series[Any]") -> list[Any]:
    missing = column.isna().to_numpy()
    if isinstance(feature, CategoryFeature):
        return [None if gone else str(value) for value, gone in zip(column, missing, strict=True)]
    if isinstance(feature, BooleanFeature):
        return [None if gone else bool(value) for value, gone in zip(column, missing, strict=True)]
    if isinstance(feature, DateFeature):
        days = pd.to_datetime(column).dt.strftime("%Y-%m-%d")
        return [None if gone else str(day) for day, gone in zip(days, missing, strict=True)]
    # A request carries what the matrix can hold, so that what is logged equals what was sent.
    numbers = column.to_numpy(dtype=np.float64)
    whole = feature.type == "integer"
    return [None if gone else (int(value) if whole else float(value)) for value, gone in zip(numbers, missing, strict=True)]
