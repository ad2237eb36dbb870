"""One feature of a request: how a value becomes a number of the matrix, and what is allowed.

A code is the float that the graph sees: a number as it is, true and false as 1 and 0, a category as its index, a date as days after
1970-01-01, missing as NaN.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.spec import EPOCH, FLOAT32_WHOLE, BooleanFeature, CategoryFeature, DateFeature, Feature, NumberFeature

FLOAT32_MAX = (2 - 2**-23) * 2.0**127
"""The largest float32: a number beyond it would reach the graph as infinity."""

ISO_DATE = len("2026-11-21")

LISTED = 20
"""How many categories a message names before it only counts the rest."""

Code = Callable[[object], float | None]


@dataclass(frozen=True)
class Column:
    """A feature as a request carries it.

    ``code`` returns the number for a value, or None for one that is refused (a value that cannot be looked up in a dict may
    raise TypeError instead). ``allowed`` says in words what is not refused, ``schema`` as JSON Schema.
    """

    name: str
    code: Code
    required: bool
    allowed: str
    schema: dict[str, Any]
    example: object
    numbers: "Numbers | None" = None

    def codes(self, values: NDArray[Any] | Sequence[object]) -> NDArray[np.float64] | Sequence[float | None] | None:
        """Return the numbers for n values at once; None where one is refused, or has to be looked at by itself.

        In an array missing is NaN.
        """
        if self.numbers is not None:
            return self.numbers.codes(values)
        try:
            found = list(map(self.code, values.tolist() if isinstance(values, np.ndarray) else values))
        except TypeError:
            return None
        return None if None in found else found

    def check(self, value: object) -> object:
        """Return ``value`` if it is allowed.

        Raises:
            ValueError: it is not; the message says what is.
        """
        try:
            refused = self.code(value) is None
        except TypeError:
            refused = True
        if refused:
            message = f"allowed: {self.allowed}"
            raise ValueError(message)
        return value


@dataclass(frozen=True)
class Numbers:
    """The bounds of a number, to look at many at once."""

    low: float
    high: float
    whole: bool
    required: bool

    def codes(self, values: NDArray[Any] | Sequence[object]) -> NDArray[np.float64] | None:
        """Do what ``Column.codes`` says."""
        if isinstance(values, np.ndarray):
            if values.dtype.kind not in "fiu":
                return None
            # A float32 was rounded by the caller, so the bounds are rounded as well.
            with np.errstate(over="ignore"):
                low, high = (values.dtype.type(bound) if values.dtype == np.float32 else bound for bound in (self.low, self.high))
            return self._within(values, low, high, None)
        if not set(map(type, values)) <= {float, int, type(None)}:
            return None
        try:
            read = np.array(values, dtype=np.float64)  # None is NaN there
        except OverflowError:
            return None
        return self._within(read, self.low, self.high, values.count(None))

    def _within(self, values: NDArray[Any], low: float, high: float, missing: int | None) -> NDArray[np.float64] | None:
        fits: NDArray[np.bool_] = (values >= low) & (values <= high)
        if self.whole:
            with np.errstate(invalid="ignore"):
                fits &= values % 1 == 0
        if not fits.all():
            absent = np.isnan(values)
            if self.required or not (fits | absent).all() or missing not in {None, int(absent.sum())}:
                return None
        return values


def column(feature: Feature) -> Column:
    """Return the column of a feature."""
    numbers: Numbers | None = None
    if isinstance(feature, NumberFeature):
        numbers = Numbers(*_bounds(feature), feature.type == "integer", feature.required)
        code, allowed, schema, example = _number(feature)
    elif isinstance(feature, CategoryFeature):
        code, allowed, schema, example = _category(feature)
    elif isinstance(feature, DateFeature):
        code, allowed, schema, example = _date(feature)
    else:
        code, allowed, schema, example = _boolean(feature)
    if feature.example is not None:
        example = _as_json(feature)
    schema |= {"examples": [example]} | ({"description": feature.description} if feature.description else {})
    if not feature.required:
        allowed += ", or null"
        schema = {"anyOf": [schema, {"type": "null"}]}
    return Column(feature.name, code, feature.required, allowed, schema, example, numbers)


_Parts = tuple[Code, str, dict[str, Any], object]


def _number(feature: NumberFeature) -> _Parts:
    whole = feature.type == "integer"
    low, high = _bounds(feature)
    missing = None if feature.required else math.nan

    # The types are asked for exactly: true is an int to Python, and no number to a caller.
    def number(value: object) -> float | None:
        if (type(value) is float or type(value) is int) and low <= value <= high:
            return value
        return missing if value is None else None

    def integer(value: object) -> float | None:
        if (type(value) is int or type(value) is float) and low <= value <= high and value % 1 == 0:
            return value
        return missing if value is None else None

    schema: dict[str, Any] = {"type": feature.type, "minimum": low, "maximum": high}
    noun = "a whole number" if whole else "a number"
    return (integer if whole else number), f"{noun} {_range(feature, _farthest(feature))}", schema, _middle(feature, whole=whole)


def _farthest(feature: NumberFeature) -> float:
    return float(FLOAT32_WHOLE) if feature.type == "integer" else FLOAT32_MAX


def _bounds(feature: NumberFeature) -> tuple[float, float]:
    farthest = _farthest(feature)
    low = -farthest if feature.min is None else max(feature.min, -farthest)
    return low, farthest if feature.max is None else min(feature.max, farthest)


def _range(feature: NumberFeature, farthest: float) -> str:
    low, high = feature.min, feature.max
    if low is None and high is None:
        return f"from {-farthest:.9g} to {farthest:.9g}"
    if low is None:
        return f"of at most {high:.9g}"
    return f"of at least {low:.9g}" if high is None else f"from {low:.9g} to {high:.9g}"


def _middle(feature: NumberFeature, *, whole: bool) -> float:
    low, high = feature.min, feature.max
    if low is not None and high is not None:
        return (math.ceil(low) + math.floor(high)) // 2 if whole else (low + high) / 2
    nearest = min(max(0.0, -math.inf if low is None else low), math.inf if high is None else high)
    return math.ceil(nearest) if whole and low is not None else math.floor(nearest) if whole else nearest


def _category(feature: CategoryFeature) -> _Parts:
    codes: dict[object, float] = {category: float(index) for index, category in enumerate(feature.categories)}
    if not feature.required:
        codes[None] = math.nan
    names = ", ".join(feature.categories[:LISTED])
    rest = len(feature.categories) - LISTED
    allowed = f"one of {names}" + (f" and {rest} more" if rest > 0 else "")
    return codes.get, allowed, {"type": "string", "enum": list(feature.categories)}, feature.categories[0]


def _date(feature: DateFeature) -> _Parts:
    low, high = feature.min or date.min, feature.max or date.max
    missing = None if feature.required else math.nan

    def day(value: object) -> float | None:
        # Python would also read other forms of ISO 8601; one form is enough for everybody.
        if type(value) is str and len(value) == ISO_DATE and value[4] == value[7] == "-":
            try:
                read = date.fromisoformat(value)
            except ValueError:
                return None
            return float((read - EPOCH).days) if low <= read <= high else None
        return missing if value is None else None

    bounds = "".join(f" {word} {bound}" for word, bound in (("from", feature.min), ("to", feature.max)) if bound)
    example = feature.min or (EPOCH if feature.max is None or feature.max > EPOCH else feature.max)
    return day, f"a date such as {example}{bounds}", {"type": "string", "format": "date"}, example.isoformat()


def _as_json(feature: Feature) -> object:
    """Return the example of a feature as a request carries it."""
    if isinstance(feature.example, date):
        return feature.example.isoformat()
    return int(feature.example) if feature.type == "integer" and feature.example is not None else feature.example


def _boolean(feature: BooleanFeature) -> _Parts:
    missing = None if feature.required else math.nan

    def boolean(value: object) -> float | None:
        if value is True:
            return 1.0
        if value is False:
            return 0.0
        return missing if value is None else None

    return boolean, "true or false", {"type": "boolean"}, False
