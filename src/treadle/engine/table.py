"""Rows that are held by column: what a binary batch brings, and what a batch of JSON is turned into to be checked all at once."""

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any] | Sequence[object]
"""Of n rows: numbers (missing is NaN) or true and false as an array of shape [n], anything else as n values as JSON has them."""

_TRUTHS: dict[object, object] = {1.0: True, 0.0: False}


class Table(Sequence[object]):
    """``count`` rows by column. A row by itself is the object that a caller would send as JSON."""

    def __init__(self, columns: Mapping[str, Values], count: int) -> None:
        self.columns = columns
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> dict[str, object]: ...
    @overload
    def __getitem__(self, index: slice) -> list[object]: ...
    def __getitem__(self, index: int | slice) -> dict[str, object] | list[object]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        return {name: _plain(values[index]) for name, values in self.columns.items()}

    def with_truths(self, names: frozenset[str]) -> "Table":
        """Return this table with columns of these names, where they are floats, as true, false and missing. What is neither stays."""
        floats = {name for name in names & self.columns.keys() if getattr(self.columns[name], "dtype", np.dtype(bool)).kind == "f"}
        if not floats:
            return self
        return Table({name: _truths(values) if name in floats else values for name, values in self.columns.items()}, self._count)


def _truths(values: Values) -> list[object]:
    return [_TRUTHS.get(value, value) for value in map(_plain, values)]


def _plain(value: object) -> object:
    """Return a value as JSON has it. A float32 is the shortest number that rounds to it: 0.1, not 0.10000000149."""
    if not isinstance(value, np.generic):
        return value
    found = float(str(value)) if isinstance(value, np.float32) else value.item()
    return None if found != found else found  # noqa: PLR0124 -- NaN alone differs from itself
