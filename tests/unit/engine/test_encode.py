import json
import math
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.unit.engine.conftest import INTERFACE
from treadle.engine.encode import Encoder, example, row_model, to_matrix
from treadle.errors import FieldProblem, RequestInvalid
from treadle.spec import OUTPUT_COLUMNS, BooleanFeature, CategoryFeature, Feature, Interface, NumberFeature, Target

ROW: dict[str, Any] = {"tenure": 12, "charges": 70.5, "contract": "One year", "channel": "web", "paperless": True, "partner": False}
ENCODER = Encoder(INTERFACE)
MODEL = row_model(INTERFACE)
SCHEMA = MODEL.model_json_schema()

ANY_CONTRACT = "one of Month-to-month, One year, Two year"
ANY_TENURE = "a whole number from 0 to 72"
ANY_CHARGES = "a number from -3.40282347e+38 to 3.40282347e+38, or null"


def problems(payload: object, encoder: Encoder = ENCODER) -> list[FieldProblem]:
    with pytest.raises(RequestInvalid) as caught:
        encoder.row(payload)
    return list(caught.value.fields)


def of(*features: Feature) -> Interface:
    return Interface(task="regression", target=Target(name="price"), features=features)


def test_a_row_becomes_one_row_of_the_matrix() -> None:
    matrix, entity = ENCODER.matrix({**ROW, "customer": "c-7"})

    assert matrix.dtype == np.float32
    assert (matrix.tolist(), entity) == ([[12, 70.5, 1, 0, 1, 0]], "c-7")


@pytest.mark.parametrize(
    "row", [{**ROW, "channel": None, "charges": None, "partner": None}, {key: ROW[key] for key in ("tenure", "contract", "paperless")}]
)
def test_an_optional_value_that_is_null_or_not_there_is_missing(row: dict[str, object]) -> None:
    matrix, entity = ENCODER.matrix(row)

    np.testing.assert_array_equal(matrix, np.array([[12, np.nan, 1, np.nan, 1, np.nan]], dtype=np.float32))
    assert entity is None


@pytest.mark.parametrize(
    ("field", "value", "number"),
    [
        ("tenure", 0, 0),
        ("tenure", 72, 72),
        ("tenure", 3.0, 3),  # a whole number, however it was written
        ("tenure", -0.0, 0),
        ("charges", 7, 7),
        ("charges", -1e-320, 0),
        ("charges", 3.4028234663852886e38, 3.4028234663852886e38),
        ("charges", 2**60, 2.0**60),
        ("contract", "Two year", 2),
        ("paperless", False, 0),
    ],
)
def test_a_value_within_its_bounds_is_taken(field: str, value: object, number: float) -> None:
    matrix, _ = ENCODER.matrix({**ROW, field: value})

    assert matrix[0, list(ROW).index(field)] == np.float32(number)


@pytest.mark.parametrize(
    ("field", "value", "shown", "allowed"),
    [
        ("contract", "Weekly", "Weekly", ANY_CONTRACT),
        ("contract", "one year", "one year", ANY_CONTRACT),
        ("contract", 1, 1, ANY_CONTRACT),
        ("contract", None, None, ANY_CONTRACT),
        ("contract", [], "a list", ANY_CONTRACT),
        ("contract", {"a": 1}, "an object", ANY_CONTRACT),
        ("channel", "mail", "mail", "one of web, shop, or null"),
        ("channel", math.nan, "NaN", "one of web, shop, or null"),
        ("tenure", -1, -1, ANY_TENURE),
        ("tenure", 73, 73, ANY_TENURE),
        ("tenure", 3.5, 3.5, ANY_TENURE),
        ("tenure", "3", "3", ANY_TENURE),
        ("tenure", True, True, ANY_TENURE),
        ("tenure", None, None, ANY_TENURE),
        ("tenure", math.nan, "NaN", ANY_TENURE),
        ("tenure", math.inf, "Infinity", ANY_TENURE),
        ("tenure", [3], "a list", ANY_TENURE),
        ("charges", "70.5", "70.5", ANY_CHARGES),
        ("charges", False, False, ANY_CHARGES),
        ("charges", math.nan, "NaN", ANY_CHARGES),
        ("charges", -math.inf, "-Infinity", ANY_CHARGES),
        ("charges", 1e39, 1e39, ANY_CHARGES),
        pytest.param("charges", 10**5000, "a whole number of 16610 bits", ANY_CHARGES, id="huge"),
        ("tenure", -(2**63), "a whole number of 64 bits", ANY_TENURE),
        ("tenure", 2**53, 2**53, ANY_TENURE),
        ("paperless", 1, 1, "true or false"),
        ("paperless", 0.0, 0.0, "true or false"),
        ("paperless", "true", "true", "true or false"),
        ("paperless", None, None, "true or false"),
        ("partner", "no", "no", "true or false, or null"),
        ("customer", 7, 7, "a text of 1 to 256 printable characters, or null"),
        ("customer", "", "", "a text of 1 to 256 printable characters, or null"),
        ("customer", "a\0b", "a\0b", "a text of 1 to 256 printable characters, or null"),
        ("customer", "\ud800", "\\ud800", "a text of 1 to 256 printable characters, or null"),
        ("customer", "x" * 257, "x" * 100 + "...", "a text of 1 to 256 printable characters, or null"),
    ],
)
def test_a_value_that_is_refused_is_named_with_what_is_allowed(field: str, value: object, shown: object, allowed: str) -> None:
    assert problems({**ROW, field: value}) == [(field, shown, allowed)]


def test_the_sentence_names_field_value_and_what_is_allowed() -> None:
    with pytest.raises(RequestInvalid) as caught:
        ENCODER.row({**ROW, "contract": "Weekly"})

    assert caught.value.what == "The request has 1 problem."
    assert caught.value.problems == (f"contract is 'Weekly'; allowed: {ANY_CONTRACT}",)


def test_a_required_value_that_is_not_there_is_named() -> None:
    del (row := dict(ROW))["tenure"]

    assert problems(row) == [("tenure", None, f"{ANY_TENURE}; it is required")]


def test_an_unknown_field_is_named_with_those_that_exist() -> None:
    (problem,) = problems({**ROW, "tenur": 5})

    assert problem[:2] == ("tenur", 5)
    assert problem.allowed == "no such field: choose from channel, charges, contract, customer, paperless, partner, tenure"


def test_the_target_is_no_field_of_a_request() -> None:
    assert problems({**ROW, "left": "yes"})[0].field == "left"


def test_an_entity_is_refused_where_the_interface_has_none() -> None:
    encoder = Encoder(INTERFACE.model_copy(update={"entity": None}))

    assert encoder.row(ROW)[1] is None
    with pytest.raises(RequestInvalid, match="customer is 'c-7'; allowed: no such field"):
        encoder.row({**ROW, "customer": "c-7"})


def test_every_problem_of_a_row_is_listed_at_once() -> None:
    assert [problem.field for problem in problems({"tenure": -1, "paperless": [], "extra": 1, "customer": 0})] == [
        "tenure",
        "contract",
        "paperless",
        "customer",
        "extra",
    ]


@pytest.mark.parametrize(("payload", "shown"), [([], "a list"), (None, None), ("row", "row"), (7, 7), (math.nan, "NaN"), (b"", "bytes")])
def test_what_is_no_object_is_refused(payload: object, shown: object) -> None:
    assert problems(payload) == [("", shown, "an object with a value per feature")]


def test_many_categories_are_counted_rather_than_listed() -> None:
    names = tuple(f"c{index}" for index in range(25))
    encoder = Encoder(of(CategoryFeature(name="code", type="category", categories=names)))

    assert problems({"code": "x"}, encoder)[0].allowed == f"one of {', '.join(names[:20])} and 5 more"


@pytest.mark.parametrize(
    ("low", "high", "kind", "allowed"),
    [
        (0, None, "number", "a number of at least 0"),
        (None, 5.5, "number", "a number of at most 5.5"),
        (None, None, "integer", "a whole number from -16777216 to 16777216"),
        (None, 100, "integer", "a whole number of at most 100"),
    ],
)
def test_an_open_range_is_said_in_words(low: float | None, high: float | None, kind: Any, allowed: str) -> None:
    encoder = Encoder(of(NumberFeature(name="size", type=kind, min=low, max=high)))

    assert problems({"size": "x"}, encoder) == [("size", "x", allowed)]


@pytest.mark.parametrize(("kind", "value"), [("integer", 2**24 + 1), ("integer", -(2.0**30)), ("number", 1e200)])
def test_what_float32_cannot_hold_is_refused_whatever_the_range_says(kind: Any, value: float) -> None:
    encoder = Encoder(of(NumberFeature(name="size", type=kind, max=None if kind == "integer" else 1e300)))

    assert problems({"size": value}, encoder)[0].value == value


def test_a_batch_is_encoded_row_by_row() -> None:
    matrix, entities = ENCODER.batch([{**ROW, "customer": "a"}, {**ROW, "tenure": 13}])

    assert matrix.dtype == np.float32
    assert (matrix[:, 0].tolist(), entities) == ([12, 13], ["a", None])


def test_an_empty_batch_is_an_empty_matrix() -> None:
    matrix, entities = ENCODER.batch([])

    assert (matrix.shape, entities) == ((0, 6), [])


def test_a_refused_row_of_a_batch_is_named_by_its_place() -> None:
    with pytest.raises(RequestInvalid) as caught:
        ENCODER.batch([ROW, {**ROW, "contract": "Weekly"}, [], {**ROW, "tenure": -1, "extra": 0}])

    assert [problem.field for problem in caught.value.fields] == ["rows.1.contract", "rows.2", "rows.3.tenure", "rows.3.extra"]
    assert caught.value.what == "The request has 4 problems."


def test_no_more_than_a_hundred_problems_are_listed() -> None:
    with pytest.raises(RequestInvalid) as caught:
        ENCODER.batch([{**ROW, "tenure": -1}] * 250)

    assert caught.value.what == "The request has 250 problems; the first 100 are listed."
    assert len(caught.value.fields) == len(caught.value.problems) == 100


names = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=6).filter(lambda name: name not in {"price", *OUTPUT_COLUMNS})
bounds = st.none() | st.floats(-1e6, 1e6)
numbers = st.builds(
    lambda name, kind, ends, required: NumberFeature(
        name=name, type=kind, min=None if None in ends else min(ends), max=None if None in ends else max(ends) + 1, required=required
    ),
    names,
    st.sampled_from(["number", "integer"]),
    st.tuples(bounds, bounds),
    st.booleans(),
)
categories = st.builds(
    CategoryFeature,
    name=names,
    type=st.just("category"),
    categories=st.lists(st.text(max_size=5), min_size=1, max_size=30, unique=True).map(tuple),
)
booleans = st.builds(BooleanFeature, name=names, type=st.just("boolean"), required=st.booleans())
interfaces = st.lists(numbers | categories | booleans, min_size=1, max_size=6, unique_by=lambda feature: feature.name).map(
    lambda features: of(*features)
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["web", "One year", 12, 3.0, 80])
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=3), scalars, max_size=2)
changed = st.dictionaries(st.sampled_from([*ROW, "customer", "extra"]), values, max_size=3).map(lambda change: {**ROW, **change})
payloads = changed | st.dictionaries(st.sampled_from([*ROW, "customer", "extra"]), values) | values


@given(interfaces)
def test_the_example_of_every_interface_validates(interface: Interface) -> None:
    row = example(interface)

    matrix, _ = Encoder(interface).matrix(row)

    assert np.isfinite(matrix).all()
    assert np.array_equal(matrix, to_matrix(interface, [row]))
    jsonschema.validate(row, row_model(interface).model_json_schema())


def test_the_examples_of_the_contract_come_first() -> None:
    interface = of(
        NumberFeature(name="months", type="integer", example=34),
        CategoryFeature(name="plan", type="category", categories=("a", "b"), example="b"),
        BooleanFeature(name="member", type="boolean", example=True),
    )

    assert json.dumps(example(interface)) == '{"months": 34, "plan": "b", "member": true}'


@given(payloads)
def test_a_payload_is_encoded_as_trusted_or_refused_with_reasons_fit_for_json(payload: Any) -> None:
    try:
        matrix, _ = ENCODER.matrix(payload)
    except RequestInvalid:
        listed = [problem._asdict() for problem in problems(payload)]
        assert json.loads(json.dumps(listed, allow_nan=False, ensure_ascii=False).encode()) == listed != []
    else:
        assert not np.isinf(matrix).any()
        np.testing.assert_array_equal(matrix, to_matrix(INTERFACE, [payload]))


@given(payloads)
def test_the_model_for_openapi_takes_what_the_encoder_takes(payload: Any) -> None:
    try:
        ENCODER.row(payload)
    except RequestInvalid:
        with pytest.raises(ValidationError):
            MODEL.model_validate(payload)
    else:
        assert MODEL.model_validate(payload).model_dump(exclude_unset=True) == payload
        jsonschema.validate(payload, SCHEMA)


def test_the_schema_says_what_the_contract_says() -> None:
    properties = SCHEMA["properties"]

    assert properties["tenure"] | {"title": ""} == {
        "type": "integer", "minimum": 0, "maximum": 72, "description": "Months as a customer.", "examples": [36], "title": "",
    }  # fmt: skip
    assert properties["contract"]["enum"] == ["Month-to-month", "One year", "Two year"]
    assert properties["channel"]["anyOf"][1] == {"type": "null"}
    assert set(SCHEMA["required"]) == {"tenure", "contract", "paperless"}
    assert SCHEMA["additionalProperties"] is False
    ENCODER.row(SCHEMA["examples"][0])


def test_a_column_may_bear_a_name_that_a_model_has_already() -> None:
    interface = of(NumberFeature(name="json", type="number"), NumberFeature(name="model_config", type="number"))

    assert row_model(interface).model_validate({"json": 1, "model_config": 2}).model_dump() == {"json": 1, "model_config": 2}


def test_trusted_rows_are_encoded_without_being_refused() -> None:
    rows: list[dict[str, Any]] = [
        {"tenure": np.int64(500), "charges": math.nan, "contract": "Weekly", "channel": None, "paperless": np.True_},
        {"tenure": None, "charges": np.float32(1.5), "contract": math.nan, "channel": "shop", "paperless": 0.0, "partner": True},
    ]

    matrix = to_matrix(INTERFACE, rows)

    np.testing.assert_array_equal(
        matrix, np.array([[500, np.nan, -1, np.nan, 1, np.nan], [np.nan, 1.5, np.nan, 1, 0, 1]], dtype=np.float32)
    )


def test_no_trusted_rows_are_an_empty_matrix() -> None:
    assert to_matrix(INTERFACE, []).shape == (0, 6)
