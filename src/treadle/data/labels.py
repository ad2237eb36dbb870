"""Labels in a file: which column is what, and what each line says. Pure: rows in, labels or problems out."""

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from treadle.data.files import Problem, Row, plain_number
from treadle.engine.answer import label_index
from treadle.errors import LabelInvalid
from treadle.spec import Interface, canonical_json

KEYS = ("prediction_id", "request_id", "entity")
"""What may name a prediction, the surest first: of several in one line the first that is given counts."""

PARTS = (*KEYS, "value", "at")
KEY_LENGTH = 256

CLOCK_SECONDS = 300.0
"""How far a clock may be ahead of ours. A label from later on would outlast every true one: the last one counts."""

LATEST = 1e11
"""Above it lies no time in epoch seconds; milliseconds do."""

DAY_DIGITS = len("20261121")
"""As many digits are a day: as seconds they would lie in 1970, when nobody predicted anything."""

AT_ALLOWED = "an ISO date or time, or epoch seconds, up to now"

_NAMESPACE = uuid.UUID("6c0b1a5e-0d4e-5b36-9f0c-5d1f5f1f7d3a")


@dataclass(frozen=True)
class Columns:
    """The column of the file that holds each part of a label; None where the file has no such column."""

    prediction_id: str | None
    request_id: str | None
    entity: str | None
    value: str
    at: str | None

    @property
    def keys(self) -> list[tuple[str, str]]:
        """The parts that may name a prediction, with their columns."""
        return [(part, name) for part in KEYS if (name := getattr(self, part)) is not None]


def find_columns(interface: Interface, there: Sequence[str], named: Mapping[str, str]) -> Columns:
    """Return which column is what: as ``named`` says (column by part), else by its name.

    Raises:
        ValueError: a part or a column that is named does not exist, or no column holds a value or a key; the message says which.
    """
    unknown = sorted(set(named) - set(PARTS))
    if unknown:
        raise ValueError(f"no label has the part {unknown[0]}: choose from {', '.join(PARTS)}")
    absent = sorted(set(named.values()) - set(there))
    if absent:
        raise ValueError(f"it has no column {absent[0]!r}")
    usual = {
        "prediction_id": ("prediction_id",),
        "request_id": ("request_id",),
        "entity": (interface.entity, "entity") if interface.entity else (),
        "value": ("value", "label", interface.target.name),
        "at": ("at", "time", "timestamp", *([interface.time] if interface.time else [])),
    }
    found = {part: named.get(part) or next((name for name in names if name in there), None) for part, names in usual.items()}
    if found["value"] is None:
        raise ValueError(f"no column holds the true value; one called value, label or {interface.target.name} would")
    if all(found[part] is None for part in KEYS):
        entity = f" or {interface.entity}" if interface.entity else ""
        raise ValueError(f"no column names the predictions; one called prediction_id, request_id{entity} would")
    if interface.entity is None and found["entity"] is not None:
        raise ValueError("the model has no entity, so its predictions cannot be named by one; name them by prediction_id or request_id")
    return Columns(**found)  # type: ignore[arg-type] # the value was looked at


class Labels:
    """Reads the lines of one file as labels of one model. A number may have a decimal comma where ``decimal`` says so."""

    def __init__(self, model: str, interface: Interface, columns: Columns, *, now: float, decimal: str = ".") -> None:
        self._model = model
        self._interface = interface
        self._columns = columns
        self._now = now
        self._decimal = decimal

    def read(self, row: Row) -> tuple[dict[str, Any] | None, list[Problem]]:
        """Return a line as a row of the table ``labels``; or None, and what is wrong with it.

        The label's id follows from its content alone, so that a line that is read twice is one label. ``timed`` says whether the line
        tells when it became true; without, it holds from now on (see ``follow``).
        """
        if row.trouble:
            return None, [Problem("", "", row.trouble)]
        part, key, problems = self._key(row.cells)
        value = self._value(row.cells, problems)
        at = self._at(row.cells, problems)
        if problems:
            return None, problems
        content = canonical_json([self._model, part, key, value, at])
        return {
            "label_id": str(uuid.uuid5(_NAMESPACE, content.decode())),
            "model": self._model,
            **dict.fromkeys(KEYS),
            part: key,
            "value": value,
            "event_at": self._now if at is None else at,
            "received_at": self._now,
            "timed": at is not None,
        }, []

    def _key(self, cells: Mapping[str, Any]) -> tuple[str, str, list[Problem]]:
        part, name = next(((part, name) for part, name in self._columns.keys if cells.get(name) is not None), self._columns.keys[0])
        key = _text(cells.get(name))
        good = 0 < len(key) <= KEY_LENGTH and key.isprintable()
        return part, key, [] if good else [Problem(name, key[:KEY_LENGTH], f"a text of 1 to {KEY_LENGTH} printable characters")]

    def _value(self, cells: Mapping[str, Any], problems: list[Problem]) -> str:
        text = _text(cells.get(self._columns.value))
        if self._interface.task == "regression":
            text = plain_number(text, self._decimal)
        try:
            label_index(self._interface, [text])
        except LabelInvalid as error:
            problems.append(Problem(self._columns.value, text, error.allowed))
        return text

    def _at(self, cells: Mapping[str, Any], problems: list[Problem]) -> float | None:
        given = cells.get(self._columns.at) if self._columns.at else None
        if given is None:
            return None
        at = epoch(given)
        if at is None or not 0 <= at <= self._now + CLOCK_SECONDS:
            problems.append(Problem(str(self._columns.at), _text(given), AT_ALLOWED))
        return at


def key_of(label: Mapping[str, Any]) -> tuple[str, str]:
    """Return by what a label names its prediction, and that name."""
    return next((part, label[part]) for part in KEYS if label[part] is not None)


def follow(label: Mapping[str, Any], standing: str) -> dict[str, Any]:
    """Return a label without a time as one that follows the label ``standing``: to go back to an older value is a new label, too."""
    return {**label, "label_id": str(uuid.uuid5(_NAMESPACE, f"{label['label_id']} after {standing}"))}


def epoch(value: object) -> float | None:
    """Return a time in epoch seconds: a number of them, or an ISO date or time (UTC where it names no zone); None for anything else."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value).strip()
    if len(text) == DAY_DIGITS and text.isdigit() and (day := _iso(text)) is not None:
        return day
    try:
        number = math.nan if "_" in text else float(text)
    except ValueError:
        return _iso(text)
    return number if math.isfinite(number) and number < LATEST else None


def _iso(text: str) -> float | None:
    try:
        return epoch(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _text(value: object) -> str:
    """Return a cell as a label travels: a whole number without a fraction, the rest as it reads."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return f"{value:.17g}" if isinstance(value, float) else str(value).strip()
