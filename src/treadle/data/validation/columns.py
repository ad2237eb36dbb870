"""What each column holds, for a person who looks at the data for the first time: how much is missing, how values are spread."""

from collections.abc import Mapping

import numpy as np

from treadle.data.validation.findings import Bar, Column
from treadle.data.validation.table import Table
from treadle.spec import Interface

BARS = 24
"""Bars of a number's histogram."""

TOP = 12
"""Bars of a column with different texts; the rest is one more."""

TAIL = 0.005
"""Share of the values at each end that the first and last bar hold together: a single far one must not flatten all others."""


def columns(table: Table, scores: Mapping[str, float]) -> tuple[Column, ...]:
    """Describe every column, those of the contract first."""
    interface = table.interface
    parts = _parts(interface)
    names = [name for name in parts if name in table] + [str(name) for name in table.frame if name not in parts]
    return tuple(_described(table, name, parts.get(name, ""), scores.get(name)) for name in names)


def _parts(interface: Interface) -> dict[str, str]:
    parts = dict.fromkeys(interface.feature_names, "feature")
    extra = {"target": interface.target.name, "entity": interface.entity, "time": interface.time}
    return parts | {name: part for part, name in extra.items() if name is not None}


def _described(table: Table, name: str, part: str, score: float | None) -> Column:
    numeric = table.is_numeric(name)
    missing = table.missing(name)
    sound = table.numbers(name)[np.isfinite(table.numbers(name))] if numeric else np.empty(0)
    different = len(table.codes(name)[1])
    return Column(
        name=name,
        part=part,
        type=_type(table, name),
        missing=float(missing.mean()),
        distinct=different,
        bars=_histogram(sound, table, name) if len(sound) else _counted(table, name),
        spread=_spread(sound, table, name) if len(sound) else None,
        score=score,
    )


def _type(table: Table, name: str) -> str:
    declared = next((feature.type for feature in table.interface.features if feature.name == name), None)
    if declared is not None:
        return declared
    if name == table.interface.target.name:
        return "number" if table.is_numeric(name) else "class"
    return "date" if table.is_date(name) else str(table.frame[name].dtype)


def _spread(sound: np.ndarray, table: Table, name: str) -> tuple[str, str, str]:
    low, middle, high = (_said(table, name, value) for value in np.quantile(sound, [0, 0.5, 1]))
    return low, middle, high


def _said(table: Table, name: str, value: float) -> str:
    return str(np.datetime64(int(value), "D")) if table.is_date(name) else f"{value:.5g}"


def _histogram(sound: np.ndarray, table: Table, name: str) -> tuple[Bar, ...]:
    low, high = np.quantile(sound, [TAIL, 1 - TAIL])
    if low == high:
        low, high = sound.min(), sound.max()
    counts, edges = np.histogram(np.clip(sound, low, high), bins=BARS if high > low else 1)
    pairs = zip(counts, edges[:-1], edges[1:], strict=True)
    return tuple(Bar(f"{_said(table, name, start)} to {_said(table, name, end)}", int(count)) for count, start, end in pairs)


def _counted(table: Table, name: str) -> tuple[Bar, ...]:
    codes, different = table.codes(name)
    if len(different) > max(BARS, table.rows // 2):
        return ()  # an id: each bar would be one row high
    counts = np.bincount(codes[codes >= 0], minlength=len(different))
    order = np.argsort(-counts, kind="stable")
    bars = [Bar(str(different[index]), int(counts[index])) for index in order[:TOP]]
    rest = int(counts[order[TOP:]].sum())
    return tuple(bars + [Bar(f"{len(order) - TOP} others", rest)] * (rest > 0))
