import asyncio
import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import small_bundles
from tests.small_service import Service
from treadle.engine.encode import Encoder
from treadle.engine.table import Table
from treadle.errors import RequestInvalid
from treadle.serving import tensors
from treadle.serving.inference import Part
from treadle.serving.records import PredictionRecord
from treadle.spec import Interface
from treadle.state.deployments import Slot

KINDS = {"f4": "FP32", "f8": "FP64", "i8": "INT64", "b1": "BOOL"}


def texts(values: list[str | None]) -> bytes:
    return b"".join(struct.pack("<I", len((text or "").encode())) + (text or "").encode() for text in values)


def body(columns: dict[str, Any], **change: Any) -> tuple[bytes, dict[str, str]]:
    """Return the body and the header of a batch; a column is an array or a list of texts."""
    inputs, parts = [], []
    for name, values in columns.items():
        plain = isinstance(values, np.ndarray)
        data = values.tobytes() if plain else texts(values)
        kind = KINDS[values.dtype.str[1:]] if plain else "BYTES"
        inputs.append({"name": name, "datatype": kind, "shape": [len(values)], "parameters": {"binary_data_size": len(data)}} | change)
        parts.append(data)
    head = json.dumps({"inputs": inputs}).encode()
    return head + b"".join(parts), {"Inference-Header-Content-Length": str(len(head))}


def read(content: bytes, length: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the head of an answer, and its tensors by name."""
    head, at, found = json.loads(content[:length]), length, {}
    for one in head["outputs"]:
        data = content[at : at + one["parameters"]["binary_data_size"]]
        at += len(data)
        if one["datatype"] == "BYTES":
            listed, place = [], 0
            while place < len(data):
                (size,) = struct.unpack_from("<I", data, place)
                listed.append(data[place + 4 : place + 4 + size].decode())
                place += 4 + size
            found[one["name"]] = listed
        else:
            kind = {"FP32": "<f4", "INT32": "<i4", "BOOL": "?"}[one["datatype"]]
            found[one["name"]] = np.frombuffer(data, dtype=kind).reshape(one["shape"]).tolist()
    assert at == len(content)
    return head, found


CHURN = {"tenure": np.array([2, 9, 100], dtype="<i8"), "spend": np.array([1.5, 0, 1000], dtype="<f8"), "customer": ["a", None, "ü"]}
ROWS = [
    {"tenure": 2, "spend": 1.5, "customer": "a"},
    {"tenure": 9, "spend": 0.0, "customer": None},
    {"tenure": 100, "spend": 1000.0, "customer": "ü"},
]


@pytest.fixture
def live(service: Service) -> Service:
    """Return a service with a classification and a regression."""
    service.deploy(service.slot(small_bundles.valuing(), 4, interface=small_bundles.VALUE), model="houses")
    service.follow(service.slot(small_bundles.answering(), 1))
    return service


def logged(records: list[PredictionRecord]) -> list[tuple[Any, ...]]:
    return [(one.version, one.row, one.scores, one.request_id, one.entity, one.role, one.status, one.fallback) for one in records]


def test_a_binary_batch_is_answered_and_logged_as_the_same_in_json(live: Service) -> None:
    content, header = body(CHURN)

    binary = live.ask("POST", "/predict/churn/batch", content=content, headers={**header, "X-Request-ID": "r"})
    plain = live.ask("POST", "/predict/churn/batch", json={"rows": ROWS}, headers={"X-Request-ID": "r"})

    assert (binary.status_code, binary.headers["content-type"], binary.headers["x-request-id"]) == (200, "application/octet-stream", "r")
    head, found = read(binary.content, int(binary.headers["Inference-Header-Content-Length"]))
    assert (head["model_name"], head["model_version"]) == ("churn", "1")
    answers = plain.json()["predictions"]
    classes = next(one["parameters"]["classes"] for one in head["outputs"] if one["name"] == "probabilities")
    for place, one in enumerate(answers):
        assert {name: found[name][place] for name in ("version", "prediction", "confidence", "fallback")} == {
            name: one[name] for name in ("version", "prediction", "confidence", "fallback")
        }
        assert dict(zip(classes, found["probabilities"][place], strict=True)) == one["probabilities"]
    first, second = live.predictions()[:3], live.predictions()[3:]
    assert logged(first) == logged(second)
    assert [one.prediction_id for one in first] == found["prediction_id"]
    assert [json.loads(one.answer)["prediction_id"] for one in first] == found["prediction_id"]
    assert [one.answer for one in second] == [json.dumps(one, separators=(",", ":")) for one in answers]


def test_a_regression_answers_numbers(live: Service) -> None:
    columns = {name: np.array([value, value], dtype="<f4") for name, value in _example(live, "houses").items()}
    content, header = body(columns)

    answer = live.ask("POST", "/predict/houses/batch", content=content, headers=header)

    _, found = read(answer.content, int(answer.headers["Inference-Header-Content-Length"]))
    assert sorted(found) == ["fallback", "prediction", "prediction_id", "version"]
    assert found["prediction"] == [[one] for one in np.frombuffer(live.predictions()[0].scores, "<f4").tolist() * 2] or (
        found["prediction"] == np.frombuffer(live.predictions()[0].scores, "<f4").tolist() * 2
    )


def _example(live: Service, model: str) -> dict[str, Any]:
    found: dict[str, Any] = live.ask("GET", f"/models/{model}").json()["example"]
    return found


def problem(live: Service, content: bytes, header: dict[str, str]) -> list[dict[str, Any]]:
    answer = live.ask("POST", "/predict/churn/batch", content=content, headers=header)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/json")
    assert not live.predictions()
    found: list[dict[str, Any]] = answer.json()["error"]["problems"]
    return found


def test_refused_values_are_named_as_in_json(live: Service) -> None:
    columns = {"tenure": np.array([2, 101, 3], dtype="<i8"), "spend": np.array([1, np.nan, -0.1], dtype="<f4")}

    assert problem(live, *body(columns)) == [
        {"field": "rows.1.tenure", "value": 101, "allowed": "a whole number from 0 to 100"},
        {"field": "rows.1.spend", "value": None, "allowed": "a number from 0 to 1000"},
        {"field": "rows.2.spend", "value": -0.1, "allowed": "a number from 0 to 1000"},
    ]


@pytest.mark.parametrize(
    ("columns", "change", "field"),
    [
        (CHURN, {"shape": [2]}, "tenure"),
        (CHURN, {"shape": []}, "rows"),
        (CHURN, {"shape": [1001]}, "rows"),
        (CHURN, {"shape": [3, 2]}, "tenure"),
        (CHURN, {"name": "tenure"}, "tenure"),
        (CHURN, {"datatype": "FP16"}, "tenure"),
        (CHURN, {"datatype": "BYTES"}, "tenure"),
        (CHURN, {"parameters": {"binary_data_size": 10**9}}, "tenure"),
        (CHURN, {"parameters": {"binary_data_size": True}}, "tenure"),
        (CHURN, {"parameters": {"binary_data_size": 8}}, "tenure"),
        (CHURN, {"parameters": {}}, "tenure"),
        (CHURN, {"parameters": 7}, "the head"),
        ({"tenure": np.array([2], dtype="?").view("?")}, {"datatype": "INT8", "parameters": {"binary_data_size": 0}}, "tenure"),
    ],
)
def test_a_head_that_does_not_describe_its_bytes_is_refused(
    live: Service, columns: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    (found,) = problem(live, *body(columns, **change))

    assert found["field"] == field


def test_bytes_that_nobody_describes_are_refused(live: Service) -> None:
    content, header = body(CHURN)

    assert problem(live, content + b"\0", header)[0]["field"] == "the body"
    assert problem(live, content, {"Inference-Header-Content-Length": "0"})[0]["field"] == "Inference-Header-Content-Length"
    assert problem(live, b'{"inputs": [', {"Inference-Header-Content-Length": "12"}) == []


@pytest.mark.parametrize("data", [b"\x01\0\0\0", b"\x02\0\0\0\xff\xff", b"\0\0\0\0\0\0\0\0", b"\0\0"])
def test_texts_that_are_none_are_refused(data: bytes) -> None:
    head = json.dumps(
        {"inputs": [{"name": "c", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(data)}}]}
    ).encode()

    with pytest.raises(RequestInvalid):
        tensors.table(head + data, len(head))


def test_a_truth_is_0_or_1() -> None:
    head = json.dumps({"inputs": [{"name": "c", "datatype": "BOOL", "shape": [1], "parameters": {"binary_data_size": 1}}]}).encode()

    assert tensors.table(head + b"\1", len(head))[0] == {"c": True}
    with pytest.raises(RequestInvalid):
        tensors.table(head + b"\2", len(head))


ALL = Interface.model_validate(
    {
        "task": "regression",
        "features": [
            {"name": "n", "type": "number", "min": -0.1, "max": 0.1, "required": False},
            {"name": "i", "type": "integer", "min": 0},
            {"name": "c", "type": "category", "categories": ["x", "y"], "required": False},
            {"name": "b", "type": "boolean", "required": False},
            {"name": "d", "type": "date", "required": False},
        ],
        "target": {"name": "t"},
        "entity": "who",
    }
)
numbers = st.one_of(st.none(), st.sampled_from([-0.1, 0.1, 0.0, 0.5, 1, 2.5, 2**24, 2**24 + 2, 10**400, True, "1", []]), st.floats(-1, 1))
rows = st.lists(
    st.fixed_dictionaries(
        {"i": st.one_of(st.integers(-1, 3), numbers)},
        optional={
            "n": numbers,
            "c": st.sampled_from(["x", "y", None, "z", 1]),
            "b": st.sampled_from([True, False, None, 1, 0.0]),
            "d": st.sampled_from(["2026-11-21", None, "today", 3]),
            "who": st.sampled_from(["me", None, "", 7]),
            "more": st.just(1),
        },
    ),
    min_size=1,
    max_size=5,
)


def outcome(encoder: Encoder, payloads: list[Any]) -> object:
    """Return what a batch gives row by row, as a text that tells NaN from NaN no more."""
    try:
        found = [encoder.row(payload, f"rows.{index}.") for index, payload in enumerate(payloads)]
    except RequestInvalid:
        return None
    return repr([(np.array(values, dtype=np.float32).tolist(), entity) for values, entity in found])


def by_column(encoder: Encoder, rows: Sequence[object]) -> object:
    """Return what a batch gives as a whole, as ``outcome`` does."""
    try:
        matrix, entities = encoder.batch(rows)
    except RequestInvalid:
        return None
    return repr(list(zip(matrix.tolist(), entities, strict=True)))


@given(rows)
def test_a_batch_by_column_agrees_with_its_rows_one_by_one(payloads: list[dict[str, Any]]) -> None:
    encoder = Encoder(ALL)
    assert by_column(encoder, payloads) == outcome(encoder, payloads)


optional = st.lists(st.one_of(st.none(), st.sampled_from([-0.1, 0.1, 0.25, 0.5])), min_size=3, max_size=3)


@given(
    optional,
    st.lists(st.sampled_from(["x", "y", None, "z"]), min_size=3, max_size=3),
    st.lists(st.sampled_from([1.0, 0.0, None, 0.5]), min_size=3, max_size=3),
    st.lists(st.sampled_from(["2026-11-21", None]), min_size=3, max_size=3),
    st.sampled_from(["<f4", "<f8"]),
)
def test_tensors_agree_with_their_rows_as_json(
    n: list[float | None], c: list[str | None], b: list[float | None], d: list[str | None], kind: str
) -> None:
    encoder = Encoder(ALL)
    content, header = body(
        {
            "n": np.array(n, dtype=kind),
            "i": np.array([0, 1, 2], dtype="<i8"),
            "c": c,
            "b": np.array(b, dtype=kind),
            "d": d,
            "who": ["me", None, "you"],
        }
    )
    truths = {1.0: True, 0.0: False, None: None, 0.5: 0.5}
    payloads = [{"n": n[at], "i": at, "c": c[at], "b": truths[b[at]], "d": d[at], "who": ["me", None, "you"][at]} for at in range(3)]
    table = encoder.table(tensors.table(content, int(header["Inference-Header-Content-Length"])))

    assert list(table) == payloads
    assert by_column(encoder, table) == outcome(encoder, payloads)


def test_a_table_is_a_sequence_of_rows() -> None:
    table = Table({"a": np.array([1.0, 2.0]), "b": ["x", None]}, 2)

    assert table[-1] == {"a": 2.0, "b": None}
    assert table[:1] == [{"a": 1.0, "b": "x"}]
    with pytest.raises(IndexError):
        table[2]


def test_rows_of_versions_with_other_classes_stand_under_the_union_of_them(live: Service) -> None:
    content, header = body(CHURN)
    table = tensors.table(content, int(header["Inference-Header-Content-Length"]))
    answered = asyncio.run(live.inference.predict_batch("churn", table))
    (part,) = answered.parts
    other = Slot("canary", 2, "d" * 64, 0.5)
    first = Part(
        part.slot, ("a", "b"), [0, 2], part.matrix[:2], np.array([[0.25, 0.75], [0.5, 0.5]], dtype=np.float32), 0.0, fallback=False
    )
    second = Part(other, ("b", "c"), [1], part.matrix[:1], np.array([[0.125, 0.875]], dtype=np.float32), 0.0, fallback=True)

    head, data = tensors.answer(answered._replace(parts=[first, second]))
    told, found = read(head + data, len(head))

    assert told["outputs"][4]["parameters"]["classes"] == ["a", "b", "c"]
    assert found["prediction"] == ["b", "c", "a"]
    assert (found["version"], found["fallback"], found["confidence"]) == ([1, 2, 1], [False, True, False], [0.75, 0.875, 0.5])
    assert repr(found["probabilities"]) == "[[0.25, 0.75, nan], [nan, 0.125, 0.875], [0.5, 0.5, nan]]"
