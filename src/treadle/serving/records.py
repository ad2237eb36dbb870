"""What a worker writes into the log: rows that were answered or failed, labels, the word of a person, events."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from treadle.engine.answer import answer_of
from treadle.serving.ids import LENGTH

Joined = TypeVar("Joined", str, bytes)

_encode = msgspec.json.Encoder().encode


class PredictionRecord(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="prediction"):
    """One answered (or failed) row, with the columns of the ``predictions`` table.

    ``row`` and ``scores`` are little-endian float32; ``answer`` is the JSON text as it was answered, empty for a
    failure; ``at`` is in epoch seconds, ``seconds`` is how long it took.
    """

    prediction_id: str
    model: str
    version: int
    digest: str
    generation: int
    role: str
    at: float
    seconds: float
    row: bytes
    scores: bytes = b""
    answer: str = ""
    status: str = "ok"
    error: str | None = None
    request_id: str | None = None
    entity: str | None = None
    fallback: bool = False


class BatchRecord(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="batch"):
    """Rows of one call that one version answered: what they share once, and the rest by column.

    ``prediction_ids`` are the ids one after the other, ``rows`` and ``scores`` little-endian float32 row after row. The texts of the
    answers are not in it: scores and ``classes`` (none for a regression) give them, by the function that answered.
    """

    prediction_ids: str
    model: str
    version: int
    digest: str
    generation: int
    role: str
    at: float
    seconds: float
    rows: bytes
    scores: bytes
    classes: tuple[str, ...]
    request_ids: list[str | None] | None
    entities: list[str | None] | None
    fallback: bool

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.prediction_ids) // LENGTH

    def columns(self) -> dict[str, list[Any]]:
        """Return the columns of the ``predictions`` table, each with its fields in the order of the rows."""
        count, ids = len(self), _cut(self.prediction_ids, len(self))
        scores = np.frombuffer(self.scores, dtype="<f4").reshape(count, -1)
        return {
            "prediction_id": ids,
            **{name: [getattr(self, name)] * count for name in _SHARED},
            "row": _cut(self.rows, count),
            "scores": _cut(self.scores, count),
            "answer": texts(ids, self.model, self.version, self.classes, scores, fallback=self.fallback),
            "status": ["ok"] * count,
            "error": [None] * count,
            "request_id": self.request_ids or [None] * count,
            "entity": self.entities or [None] * count,
        }

    def records(self) -> Iterator[PredictionRecord]:
        """Return the record of each row, in order."""
        columns = self.columns()
        return map(PredictionRecord, *(columns[name] for name in PredictionRecord.__struct_fields__))


_SHARED = ("model", "version", "digest", "generation", "role", "at", "seconds", "fallback")
"""Columns in which all rows of a batch are the same."""


def _cut(joined: Joined, count: int) -> list[Joined]:
    """Return the parts of ``joined``, all of one length."""
    width = len(joined) // count
    return [joined[start : start + width] for start in range(0, len(joined), width)]


def answer(
    prediction_id: str, model: str, version: int, classes: Sequence[str], scores: Sequence[float], *, fallback: bool
) -> dict[str, Any]:
    """Return what a caller is told of one row, and what the log keeps as text."""
    told = answer_of(classes, scores)
    return {"prediction_id": prediction_id, "model": model, "version": version, **told, "fallback": fallback}


def texts(
    prediction_ids: Sequence[str], model: str, version: int, classes: Sequence[str], scores: NDArray[np.float32], *, fallback: bool
) -> list[str]:
    """Return the JSON of ``answer`` for many rows, whose scores are finite, float32 [n, k]: what they share is written once."""
    numbers = _json(scores.ravel().tolist())[1:-1].split(",")
    columns = [numbers[place :: scores.shape[1]] for place in range(scores.shape[1])]
    head = '{"prediction_id":"%s",' + _literally(_json({"model": model, "version": version})[1:-1]) + ',"prediction":%s'
    tail = ',"fallback":' + _json(fallback) + "}"
    if not classes:
        return list(map((head + tail).__mod__, zip(prediction_ids, *columns, strict=True)))
    names = list(map(_json, classes))
    whole = head + ',"confidence":%s,"probabilities":{' + ",".join(_literally(name) + ":%s" for name in names) + "}" + tail
    best = scores.argmax(axis=1).tolist()
    rows = zip(prediction_ids, best, zip(*columns, strict=True), strict=True)
    return [whole % (name, names[place], values[place], *values) for name, place, values in rows]


def _json(value: object) -> str:
    return _encode(value).decode()


def _literally(text: str) -> str:
    return text.replace("%", "%%")


class LabelRecord(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="label"):
    """What turned out to be true, for the prediction that one of three keys names; times in epoch seconds."""

    label_id: str
    model: str
    value: str
    event_at: float
    received_at: float
    prediction_id: str | None = None
    request_id: str | None = None
    entity: str | None = None


class ConsentRecord(msgspec.Struct, frozen=True, array_like=True, tag="consent"):
    """What a person has said about a version; ``verdict`` is empty where it could not be looked up. ``at`` in epoch seconds."""

    consent_id: str
    model: str
    version: int
    decision: Literal["approve", "reject"]
    reason: str
    actor: str
    source: str
    at: float
    verdict: str | None = None


class EventRecord(msgspec.Struct, frozen=True, array_like=True, tag="event"):
    """Something that a worker did or saw, for the chained events; ``at`` in epoch seconds, ``actor`` who asked for it, if anybody did."""

    kind: str
    model: str | None
    data: dict[str, Any]
    at: float
    actor: str | None = None


Record = PredictionRecord | LabelRecord | ConsentRecord | EventRecord
Written = Record | BatchRecord
"""What is written at once."""


def apart(written: Iterable[Written]) -> Iterator[Record]:
    """Yield what was written, a record per row."""
    for record in written:
        if isinstance(record, BatchRecord):
            yield from record.records()
        else:
            yield record
