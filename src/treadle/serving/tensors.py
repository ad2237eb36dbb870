"""Batches as binary tensors: the Open Inference Protocol's extension for binary data, as Triton, KServe and MLServer speak it.

A body is a JSON head, whose length the header Inference-Header-Content-Length says, and then the bytes of each tensor in the order
of the head, little-endian. A request has a tensor per column, of shape [n] or [n, 1]. Nothing here needs pyarrow, which would take
a third of the room that a slim installation has.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from treadle.engine.table import Table, Values
from treadle.errors import ANY_MODEL, FieldProblem, RequestInvalid
from treadle.serving.ids import LENGTH
from treadle.serving.inference import BATCH_ROWS, Answered, Part
from treadle.serving.request import BODY_BYTES, decoded, whole

HEADER = b"inference-header-content-length"
BINARY = (b"content-type", b"application/octet-stream")
SIZE = "binary_data_size"
FIX = f"docs/guides/api.md shows a batch of binary tensors; GET /models/{ANY_MODEL} every feature."

NUMBERS: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
TEXTS = "BYTES"
_PREFIX = struct.Struct("<I")


class _Input(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any]


class _Head(msgspec.Struct):
    inputs: list[_Input]


def head_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return the bytes of the JSON head, where a request is binary. One that says that it is JSON is not, whatever else it says.

    Raises:
        RequestInvalid: that is no whole number, or more than a body may have.
    """
    said = list(headers)
    if any(name == b"content-type" and value.partition(b";")[0].strip().lower() == b"application/json" for name, value in said):
        return None
    return whole(said, HEADER, "Inference-Header-Content-Length", BODY_BYTES)


def table(body: bytes, length: int) -> Table:
    """Return the rows that a body holds behind a head of ``length`` bytes.

    Raises:
        BodyMalformed: the head is no JSON.
        RequestInvalid: it does not describe what follows it.
    """
    try:
        head = msgspec.convert(decoded(body[:length]), _Head)
    except msgspec.ValidationError as error:
        raise _refused("the head", str(error), "an object with inputs: name, datatype, shape, parameters.binary_data_size") from error
    columns: dict[str, Values] = {}
    at, count = length, head.inputs[0].shape[0] if head.inputs and head.inputs[0].shape else 0
    if not 0 < count <= BATCH_ROWS:
        raise _refused("rows", f"{count} rows", f"1 to {BATCH_ROWS} rows")
    for one in head.inputs:
        size = one.parameters.get(SIZE)
        if one.shape not in ([count], [count, 1]):
            raise _refused(one.name, f"of shape {one.shape}", f"of shape [{count}], as the first tensor")
        if one.name in columns:
            raise _refused(one.name, "there twice", "one tensor per column")
        if type(size) is not int or not 0 <= size <= len(body) - at:
            raise _refused(one.name, f"{SIZE} {size}", f"a whole number of bytes, of which {len(body) - at} are left")
        columns[one.name] = _column(one, memoryview(body)[at : at + size], count)
        at += size
    if at != len(body):
        raise _refused("the body", f"{len(body) - at} bytes longer", "as long as the head says")
    return Table(columns, count)


def _column(one: _Input, data: memoryview, count: int) -> Values:
    if one.datatype == TEXTS:
        return _texts(one.name, bytes(data), count)
    kind = NUMBERS.get(one.datatype)
    if kind is None:
        raise _refused(one.name, one.datatype[:20], f"{', '.join(NUMBERS)} or {TEXTS}")
    if len(data) != count * kind.itemsize:
        raise _refused(one.name, f"{len(data)} bytes", f"{count * kind.itemsize} bytes for {count} values of {one.datatype}")
    if one.datatype == "BOOL" and max(data) > 1:
        raise _refused(one.name, "a byte above 1", "0 or 1 for false and true")
    return np.frombuffer(data, dtype=kind)


def _texts(name: str, data: bytes, count: int) -> list[object]:
    """Return texts that each stand behind their length in four bytes; an empty one is missing."""
    found: list[object] = []
    at = 0
    try:
        for _ in range(count):
            (length,) = _PREFIX.unpack_from(data, at)
            start, at = at + 4, at + 4 + length
            found.append(data[start:at].decode() if length else None)
    except (struct.error, UnicodeDecodeError) as error:
        raise _refused(name, str(error), f"{count} texts in UTF-8, each behind its length in four bytes") from error
    if at != len(data):
        raise _refused(name, f"{len(data)} bytes", f"{count} texts, which take {at} bytes")
    return found


def answer(answered: Answered) -> tuple[bytes, bytes]:
    """Return head and bytes of an answer: a tensor per key of the answers in JSON, row by row in the order of the request."""
    parts, count = answered.parts, len(answered.ids)
    ids = np.frombuffer("".join(answered.ids).encode(), dtype=np.uint8).reshape(count, LENGTH)
    named = np.empty((count, 4 + LENGTH), dtype=np.uint8)
    named[:, :4], named[:, 4:] = np.frombuffer(_PREFIX.pack(LENGTH), dtype=np.uint8), ids
    classes = list(dict.fromkeys(name for part in parts for name in part.classes))
    scores = np.full((count, len(classes) or 1), np.nan, dtype="<f4")
    versions, stood_in = np.empty(count, dtype="<i4"), np.empty(count, dtype=np.bool_)
    for part in parts:
        rows = slice(None) if len(part.rows) == count else list(part.rows)
        versions[rows], stood_in[rows] = part.slot.version, part.fallback
        if list(part.classes) == classes or not classes:
            scores[rows] = part.scores
        else:
            scores[np.ix_(list(part.rows), [classes.index(name) for name in part.classes])] = part.scores
    tensors = [("prediction_id", TEXTS, [count], named.tobytes()), ("version", "INT32", [count], versions.tobytes())]
    if classes:
        tensors.append(("prediction", TEXTS, [count], _predictions(parts, count)))
        tensors.append(("confidence", "FP32", [count], np.nanmax(scores, axis=1).tobytes()))
        tensors.append(("probabilities", "FP32", [count, len(classes)], scores.tobytes()))
    else:
        tensors.append(("prediction", "FP32", [count], scores.tobytes()))
    tensors.append(("fallback", "BOOL", [count], stood_in.tobytes()))
    outputs: list[dict[str, Any]] = [
        {"name": name, "datatype": kind, "shape": shape, "parameters": {SIZE: len(data)}} for name, kind, shape, data in tensors
    ]
    for output in outputs:
        if output["name"] == "probabilities":
            output["parameters"]["classes"] = classes
    head = {"model_name": answered.model, "model_version": str(parts[0].slot.version), "outputs": outputs}
    return msgspec.json.encode(head), b"".join(data for *_, data in tensors)


def _predictions(parts: Sequence[Part], count: int) -> bytes:
    """Return the names of the likeliest classes; the first of equals, as in JSON."""
    found: list[bytes] = [b""] * count
    for part in parts:
        texts = [_PREFIX.pack(len(name.encode())) + name.encode() for name in part.classes]
        likeliest: NDArray[np.intp] = part.scores.argmax(axis=1)
        for index, place in zip(part.rows, likeliest.tolist(), strict=True):
            found[index] = texts[place]
    return b"".join(found)


def _refused(field: str, found: str, allowed: str) -> RequestInvalid:
    return RequestInvalid([FieldProblem(field[:100], found[:100], allowed)], fix=FIX)
