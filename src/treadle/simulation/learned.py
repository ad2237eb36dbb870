"""The world of a project that brings none: it is learned from the project's rows.

It keeps the three promises of a world (docs/guides/project.md): labels are drawn from a teacher's chances and never copied,
before the shift nothing has changed, and after it a better model exists. Both streams are endless, and how much is drawn at a
time changes neither.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame, Series

from treadle.data.frame import matrix, target
from treadle.simulation.likeness import Likeness
from treadle.simulation.shift import SAMPLE, State, shifted
from treadle.simulation.stream import Stream
from treadle.simulation.teacher import STUDENT, TEACHER, teach
from treadle.simulation.truth import as_true, shares_of
from treadle.spec import Interface

MOST_ROWS = 10_000
"""Of a larger table so many rows are learned from, taken at random."""

BLOCK = 1000
"""Rows are made in blocks of this size, because one at a time is slow."""

REMEMBERED = 2000
"""How many of the latest rows' entities may return."""

MOST_RETURNING = 0.5
"""Largest share of rows whose entity was seen before."""


class LearnedWorld:
    """A stream of rows like ``rows``, a frame with the contract's columns: a ``treadle.simulation.world.World``."""

    def __init__(self, interface: Interface, rows: DataFrame, seed: int) -> None:
        self._interface, self._seed = interface, seed
        self._rows = _some(rows[rows[interface.target.name].notna()], seed)
        self._likeness = Likeness(interface, self._rows)
        y, units = target(interface, self._rows), _units(interface, self._rows)
        self._teacher, student = (teach(interface, self._likeness.known, y, units, growth, seed) for growth in (TEACHER, STUDENT))
        even = np.full(len(y), 1 / len(y))
        sample = self._likeness.matrix(even, SAMPLE, np.random.default_rng(seed))
        before = State(even, as_true(self._teacher, student, y, sample))
        after = shifted(self._likeness, self._teacher, before, shares_of(interface, y), seed)
        self.states = {False: before, True: after}
        self._streams = {changed: Stream(self._blocks(shifted=changed)) for changed in (False, True)}

    def draw(self, count: int, *, shifted: bool = False) -> DataFrame:
        """Return the next ``count`` rows with all columns of the contract."""
        return self._streams[shifted].take(count)

    def _blocks(self, *, shifted: bool) -> Iterator[DataFrame]:
        interface, state = self._interface, self.states[shifted]
        random = np.random.default_rng((self._seed, int(shifted)))
        crowd = _Crowd(interface, self._rows, f"sim-{self._seed}{'b' if shifted else 'a'}")
        for block in itertools.count():
            index, names = crowd.come(random.choice(len(self._rows), size=BLOCK, p=state.weights), random)
            frame = self._likeness.like(index, random)
            drawn = state.truth.draw(state.said(self._teacher, matrix(interface, frame)), random)
            classes = np.array(interface.target.classes, dtype=object)
            frame[interface.target.name] = drawn if interface.task == "regression" else classes[drawn.astype(np.intp)]
            if interface.entity is not None:
                frame[interface.entity] = names
            if interface.time is not None:
                frame[interface.time] = _later(self._rows[interface.time], block * BLOCK + np.arange(1, BLOCK + 1))
            yield frame


class _Crowd:
    """Whom the rows are about: somebody new, or as often as in the data somebody who has been there before."""

    def __init__(self, interface: Interface, rows: DataFrame, prefix: str) -> None:
        repeated = 0.0 if interface.entity is None else float(rows[interface.entity].dropna().duplicated().mean() or 0.0)
        self._returning = min(MOST_RETURNING, repeated)
        self._prefix = prefix
        self._count = 0
        self._index = np.empty(0, dtype=np.intp)
        self._names = np.empty(0, dtype=object)

    def come(self, index: NDArray[np.intp], random: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.object_]]:
        """Return for each new row the known row that it is like, and the entity; one who returns is like the same row."""
        fresh = np.array([f"{self._prefix}-{number:07d}" for number in range(self._count, self._count + len(index))], dtype=object)
        self._count += len(index)
        known = len(self._names)
        every, names = np.concatenate([self._index, index]), np.concatenate([self._names, fresh])
        back = random.random(len(index)) < self._returning
        who = np.where(back, random.integers(len(every), size=len(index)), known + np.arange(len(index)))
        self._index, self._names = every[-REMEMBERED:], names[-REMEMBERED:]
        return every[who], names[who]


def _some(rows: DataFrame, seed: int) -> DataFrame:
    chosen = rows.sample(MOST_ROWS, random_state=seed).sort_index() if len(rows) > MOST_ROWS else rows
    return chosen.reset_index(drop=True)


def _units(interface: Interface, rows: DataFrame) -> NDArray[np.intp]:
    """Return the entity of each row as a number; a row without one is alone."""
    alone = np.arange(len(rows))
    if interface.entity is None:
        return alone
    units = pd.factorize(rows[interface.entity])[0]
    return np.where(units < 0, units.max(initial=0) + 1 + alone, units)


def _later(times: "Series[Any]", steps: NDArray[np.int64]) -> "Series[Any]":
    """Return times that go on after the last known one, at the pace of the known rows: so many steps after it."""
    known = times if pd.api.types.is_numeric_dtype(times) else pd.to_datetime(times, errors="coerce", format="ISO8601")
    if not known.notna().any():
        return pd.Series([times.iloc[-1]] * len(steps))
    pace = (known.max() - known.min()) / max(1, len(known) - 1)
    later = pd.Series(known.max() + steps * pace)
    if pd.api.types.is_numeric_dtype(times) or pd.api.types.is_datetime64_any_dtype(times):
        return later
    return later.map(lambda moment: moment.isoformat())
