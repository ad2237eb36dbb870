"""How alike the columns of two tables are by their values: what a renamed column is recognised by. Pure."""

from collections.abc import Iterable
from typing import Any

from pandas import DataFrame, Series

from treadle.spec.evolution import TELLING

MOST = 10_000
"""Different values of a column that are looked at."""


def likeness(old: DataFrame, new: DataFrame, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Return, for pairs of an old and a new column, the share of their different values that both have: 0 to 1.

    A column with few different values says nothing: many are yes or no.
    """
    return {(one, other): _shared(_values(old[one]), _values(new[other])) for one, other in pairs if one in old and other in new}


def _values(column: "Series[Any]") -> set[str]:
    values = column.dropna()
    # As text: what is 3 in one file is 3.0 in the next.
    texts = values.astype(str).str.removesuffix(".0")
    return set(texts.unique()[:MOST])


def _shared(some: set[str], others: set[str]) -> float:
    return len(some & others) / len(some | others) if min(len(some), len(others)) >= TELLING else 0.0
