"""From the rows of a request to the matrix that the graph takes.

``Encoder`` is what a server keeps per loaded model: it checks and encodes a row in one pass. ``to_matrix`` encodes rows that are
trusted already, such as rows of a data set: there a category that the interface does not know is -1 and nothing is refused for its range.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from operator import itemgetter
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, create_model

from treadle.engine.columns import ISO_DATE, Column, column
from treadle.engine.table import Table, Values
from treadle.errors import FieldProblem, RequestInvalid, choose_from
from treadle.spec import EPOCH, CategoryFeature, DateFeature, Feature, Interface

Floats = NDArray[np.float32]

ENTITY_LENGTH = 256
ENTITY_ALLOWED = f"a text of 1 to {ENTITY_LENGTH} printable characters, or null"
ENTITY_SCHEMA = {
    "anyOf": [{"type": "string", "minLength": 1, "maxLength": ENTITY_LENGTH}, {"type": "null"}],
    "description": "Whom the row is about: it decides which version answers, and labels may be joined by it.",
}

NOT_SHOWN = "a name that is not shown"
"""Stands for a refused entity where the contract has ``pseudonymize``."""

SHOWN = 100
"""Longest text of a refused value that is repeated to the caller."""


class Encoder:
    """Checks the rows of requests against one interface, and encodes them.

    A row may also carry what this interface does not know, but another version of the same model does: it is not encoded.

    Args:
        interface: what rows are checked against and encoded by.
        others: interfaces of versions that may answer the same rows; a field that only they know must hold what the first that
            knows it allows.
        ignored: fields that versions knew which answer no more; they may hold anything.
    """

    def __init__(self, interface: Interface, others: Sequence[Interface] = (), ignored: Iterable[str] = ()) -> None:
        self._columns = tuple(column(feature) for feature in interface.features)
        self._codes = tuple((item.name, item.code) for item in self._columns)
        self._entity = next((one.entity for one in (interface, *others) if one.entity), None)
        self._hides = any(one.pseudonymize for one in (interface, *others))
        self._truths = frozenset(one.name for one in interface.features if one.type == "boolean")
        self._known = frozenset(interface.feature_names) | ({self._entity} if self._entity else set())
        elsewhere = {feature.name: feature for one in reversed(others) for feature in one.features}
        self._foreign: dict[str, Column | None] = dict.fromkeys(ignored) | {name: column(one) for name, one in elsewhere.items()}

    def row(self, payload: object, at: str = "") -> tuple[list[float], str | None]:
        """Return the numbers of one row, in the order of the matrix, and the entity that it names.

        Args:
            payload: the decoded JSON object: features by name, and the entity column if the caller likes.
            at: where the row stands in the request, such as "rows.3."; errors put it before the field.

        Raises:
            RequestInvalid: a value is missing, refused, or of no known field; every such field is listed.
        """
        if isinstance(payload, dict):
            get = payload.get
            try:
                values = [code(get(name)) for name, code in self._codes]
            except TypeError:  # a list or an object was looked up among the categories
                values = [None]
            entity = get(self._entity) if self._entity else None
            known = payload.keys() <= self._known or not self._refused(payload)
            if None not in values and known and (entity is None or _is_entity(entity)):
                return values, entity  # type: ignore[return-value]
        raise RequestInvalid(self._problems(payload, at))

    def matrix(self, payload: object) -> tuple[Floats, str | None]:
        """Return one row as a float32 matrix of shape [1, features], and its entity; raises as ``row`` does."""
        values, entity = self.row(payload)
        return np.array((values,), dtype=np.float32), entity

    def batch(self, payloads: Sequence[object], at: str = "rows") -> tuple[Floats, list[str | None]]:
        """Return many rows as a float32 matrix of shape [n, features], and the entity of each.

        Columns are checked as a whole; where that does not let all of them pass, each row by itself, to say what is refused.

        Raises:
            RequestInvalid: rows are refused; fields are named such as rows.3.tenure.
        """
        return self._by_column(payloads) or self._one_by_one(payloads, at)

    def table(self, table: Table) -> Table:
        """Return a table that came as tensors as this interface reads it: true and false may have come as 1 and 0."""
        return table.with_truths(self._truths)

    def _by_column(self, payloads: Sequence[object]) -> tuple[Floats, list[str | None]] | None:
        count = len(payloads)
        found = payloads.columns if isinstance(payloads, Table) else self._columns_of(payloads)
        if found is None or not found.keys() <= self._known:
            return None
        matrix = np.empty((count, len(self._columns)), dtype=np.float32)
        for place, item in enumerate(self._columns):
            codes = item.codes(found.get(item.name, [None] * count))
            if codes is None:
                return None
            matrix[:, place] = codes
        entities = list(found.get(self._entity, ())) if self._entity else []
        return (matrix, entities or [None] * count) if all(one is None or _is_entity(one) for one in entities) else None

    def _columns_of(self, payloads: Sequence[object]) -> Mapping[str, Values] | None:
        """Return the columns of rows that all have just the features, and the entity where they like; None for others."""
        if set(map(type, payloads)) != {dict}:
            return None
        rows: Sequence[Mapping[str, object]] = payloads  # type: ignore[assignment]
        try:
            columns: dict[str, Values] = {item.name: list(map(itemgetter(item.name), rows)) for item in self._columns}
            widths = set(map(len, rows))
            if self._entity and widths != {len(columns)}:
                columns[self._entity] = list(map(itemgetter(self._entity), rows))
            return columns if widths == {len(columns)} else None
        except KeyError:
            return None

    def _one_by_one(self, payloads: Sequence[object], at: str) -> tuple[Floats, list[str | None]]:
        values: list[list[float]] = []
        entities: list[str | None] = []
        problems: list[FieldProblem] = []
        for index, payload in enumerate(payloads):
            try:
                numbers, entity = self.row(payload, f"{at}.{index}.")
            except RequestInvalid as error:
                problems += error.fields
            else:
                values.append(numbers)
                entities.append(entity)
        if problems:
            raise RequestInvalid(problems)
        return np.array(values, dtype=np.float32).reshape(len(values), len(self._columns)), entities

    def _refused(self, payload: Mapping[str, object]) -> list[str]:
        """Return the fields that this interface does not know, and no other version of the model knows with such a value."""
        return [name for name in payload if name not in self._known and not self._passes_elsewhere(name, payload[name])]

    def _passes_elsewhere(self, name: str, value: object) -> bool:
        foreign = self._foreign.get(name)
        return name in self._foreign if foreign is None else _passes(foreign, value)

    def _problems(self, payload: object, at: str) -> list[FieldProblem]:
        """Return every reason why this row is refused; off the hot path."""
        if not isinstance(payload, dict):
            return [FieldProblem(at.rstrip("."), shown(payload), "an object with a value per feature")]
        problems = [
            FieldProblem(
                at + item.name, shown(payload.get(item.name)), item.allowed if item.name in payload else f"{item.allowed}; it is required"
            )
            for item in self._columns
            if not _passes(item, payload.get(item.name))
        ]
        entity = payload.get(self._entity) if self._entity else None
        if entity is not None and not _is_entity(entity):
            problems.append(FieldProblem(f"{at}{self._entity}", NOT_SHOWN if self._hides else shown(entity), ENTITY_ALLOWED))
        return problems + [FieldProblem(at + str(shown(name)), shown(payload[name]), self._said(name)) for name in self._refused(payload)]

    def _said(self, name: str) -> str:
        """Return what is allowed in a field that was refused and that this interface does not know."""
        foreign = self._foreign.get(name)
        return f"no such field: {choose_from(self._known)}" if foreign is None else foreign.allowed


def to_matrix(interface: Interface, rows: Sequence[Mapping[str, Any]]) -> Floats:
    """Return trusted rows as a float32 matrix of shape [n, features]; what a row does not have is NaN."""
    matrix = np.empty((len(rows), len(interface.features)), dtype=np.float32)
    for index, feature in enumerate(interface.features):
        code = _trusted(feature)
        matrix[:, index] = [code(row.get(feature.name)) for row in rows]
    return matrix


def example(interface: Interface) -> dict[str, Any]:
    """Return a row that validates: the contract's examples, else the middle of a range, the first category, false."""
    return {item.name: item.example for item in map(column, interface.features)}


def row_model(interface: Interface, name: str = "Row") -> type[BaseModel]:
    """Return the pydantic model of a row, for OpenAPI: it accepts what ``Encoder`` accepts, by the same functions."""
    checks: dict[str, tuple[Any, Any]] = {
        item.name: (Annotated[Any, PlainValidator(item.check), WithJsonSchema(item.schema)], ... if item.required else None)
        for item in map(column, interface.features)
    }
    if interface.entity:
        checks[interface.entity] = (Annotated[Any, PlainValidator(_check_entity), WithJsonSchema(ENTITY_SCHEMA)], None)
    # A column may be called "copy" or "json", an attribute of a pydantic model may not: the name is an alias.
    fields: dict[str, Any] = {
        f"field_{index}": (kind, Field(default, alias=alias)) for index, (alias, (kind, default)) in enumerate(checks.items())
    }
    config = ConfigDict(extra="forbid", serialize_by_alias=True, json_schema_extra={"examples": [example(interface)]})
    model: type[BaseModel] = create_model(name, __config__=config, **fields)
    return model


def _passes(item: Column, value: object) -> bool:
    try:
        item.check(value)
    except ValueError:
        return False
    return True


def _trusted(feature: Feature) -> Callable[[Any], float]:
    """Return what turns a value of a trusted row into a number of the matrix."""
    if isinstance(feature, DateFeature):
        return _days
    if not isinstance(feature, CategoryFeature):
        return lambda value: math.nan if value is None else float(value)
    codes: dict[object, float] = {category: float(index) for index, category in enumerate(feature.categories)}
    codes[None] = math.nan
    # A frame's missing text may be NaN, which alone differs from itself.
    return lambda value: math.nan if value != value else codes.get(value, -1.0)  # noqa: PLR0124


def _days(value: Any) -> float:
    """Return the days after 1970-01-01 of a date, a time, or its ISO text; NaN for what is missing."""
    if value is None or value != value:  # noqa: PLR0124 -- NaN and NaT alone differ from themselves
        return math.nan
    # A time counts as its day, so cut the clock off: "2026-11-21T10:00" begins with its date as well.
    return float((date.fromisoformat(str(value)[:ISO_DATE]) - EPOCH).days)


def _is_entity(value: object) -> bool:
    return type(value) is str and 0 < len(value) <= ENTITY_LENGTH and value.isprintable()


def _check_entity(value: object) -> object:
    if value is not None and not _is_entity(value):
        message = f"allowed: {ENTITY_ALLOWED}"
        raise ValueError(message)
    return value


def shown(value: object) -> str | float | bool | None:
    """Return a refused value as short JSON: the scalar itself, or a text that stands for it."""
    if isinstance(value, str):
        # Half of a surrogate pair is no text that could be sent back.
        text = value.encode(errors="backslashreplace").decode()
        return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    if isinstance(value, int):
        return value if value.bit_length() < 64 else f"a whole number of {value.bit_length()} bits"
    if isinstance(value, float):
        return value if math.isfinite(value) else json.dumps(value)
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return None if value is None else type(value).__name__
