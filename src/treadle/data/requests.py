"""Rows of a file as the service takes them: what a text of a CSV means is what the contract says of its column. Pure."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from treadle.data.files import Problem, plain_number
from treadle.engine.columns import column
from treadle.spec import BooleanFeature, CategoryFeature, DateFeature, Feature, Interface

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""Texts that say that there is no value, however they are written; a category may be called so all the same."""

TRUTH: Mapping[object, bool] = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}

SHOWN = 100
"""Longest text of a refused cell that is repeated."""

EXACT = 2**53
"""Below it every whole number has a float of its own."""

_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})([T ].*)?")


class Requests:
    """Turns the cells of rows into what a request carries; numbers may have a decimal comma where ``decimal`` says so."""

    def __init__(self, interface: Interface, *, decimal: str = ".") -> None:
        self._casts = {feature.name: _cast(feature, decimal) for feature in interface.features}
        self._allowed = {feature.name: column(feature).allowed for feature in interface.features}
        self._required = {feature.name for feature in interface.features if feature.required}
        self._entity = interface.entity

    def left_out(self, columns: Iterable[str]) -> list[str]:
        """Return the columns of a file that are no part of a request."""
        return [name for name in columns if name not in self._casts and name != self._entity]

    def absent(self, columns: Iterable[str]) -> list[str]:
        """Return the columns that a request must carry and a file does not have."""
        return sorted(self._required - set(columns))

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        """Return a row as a request carries it, and the cells that mean nothing; ranges and categories are the service's to judge."""
        payload: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, cast in self._casts.items():
            value = cells.get(name)
            try:
                payload[name] = cast(_plain(value))
            except ValueError:
                problems.append(Problem(name, str(value)[:SHOWN], self._allowed[name]))
                continue
            if payload[name] is None and name in self._required:
                problems.append(Problem(name, "" if value is None else str(value)[:SHOWN], f"{self._allowed[name]}; it is required"))
        entity = _plain(cells.get(self._entity)) if self._entity else None
        if entity is not None:
            payload[str(self._entity)] = _text(entity)
        return payload, problems


def _plain(value: Any) -> Any:
    """Return a cell as Python's own text, number, truth, date or None."""
    value = value.item() if type(value).__module__ == "numpy" else value
    if value is None or type(value).__name__ in {"NAType", "NaTType"} or (isinstance(value, float) and math.isnan(value)):
        return None
    return float(value) if isinstance(value, Decimal) else value.strip() if isinstance(value, str) else value


def _cast(feature: Feature, decimal: str) -> Callable[[Any], Any]:
    """Return what makes a value of a cell; it raises ValueError for a cell that holds none."""
    if isinstance(feature, CategoryFeature):
        known = frozenset(feature.categories)
        return lambda value: _category(value, known)
    if isinstance(feature, BooleanFeature):
        return _boolean
    return _day if isinstance(feature, DateFeature) else lambda value: _number(value, decimal)


def _category(value: Any, known: frozenset[str]) -> str | None:
    text = None if value is None else _text(value)
    return None if text is None or (text not in known and text.lower() in MISSING) else text


def _boolean(value: Any) -> bool | None:
    text = _text(value).lower()
    if text in MISSING:
        return None
    if text not in TRUTH:
        raise ValueError(text)
    return TRUTH[text]


def _number(value: Any, decimal: str) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = _text(value)
    if text.lower() in MISSING:
        return None
    number = math.nan if "_" in text or isinstance(value, bool | date) else float(plain_number(text, decimal))
    if not math.isfinite(number):
        raise ValueError(text)
    return int(number) if number.is_integer() and abs(number) < EXACT else number


def _day(value: Any) -> str | None:
    if isinstance(value, date):
        return value.isoformat()[: len("2026-11-21")]
    text = _text(value)
    if text.lower() in MISSING:
        return None
    found = _DAY.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return found[1]


def _text(value: Any) -> str:
    """Return a value as a text; a whole number, which a table with gaps keeps as a fraction, without one."""
    return "" if value is None else str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
