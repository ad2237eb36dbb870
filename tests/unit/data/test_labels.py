"""What a line of a file of labels says, and what is wrong with one that says nothing."""

import math
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.small_bundles import INTERFACE, VALUE
from treadle.data.files import Problem, Row
from treadle.data.labels import AT_ALLOWED, Columns, Labels, epoch, find_columns
from treadle.spec import Interface

NOW = 1_800_000_000.0
COLUMNS = Columns("prediction_id", "request_id", "customer", "left", "at")
NAMELESS = INTERFACE.model_copy(update={"entity": None})


def read(interface: Interface = INTERFACE, *, decimal: str = ".", **cells: Any) -> tuple[dict[str, Any] | None, list[Problem]]:
    return Labels("churn", interface, COLUMNS, now=NOW, decimal=decimal).read(Row("line 2", cells))


def good(interface: Interface = INTERFACE, **cells: Any) -> dict[str, Any]:
    label, problems = read(interface, **cells)
    assert (problems, label is not None) == ([], True)
    return label or {}


@pytest.mark.parametrize(
    ("there", "named", "found"),
    [
        (["prediction_id", "value"], {}, Columns("prediction_id", None, None, "value", None)),
        (["customer", "left", "time"], {}, Columns(None, None, "customer", "left", "time")),
        (["request_id", "label", "at", "x"], {}, Columns(None, "request_id", None, "label", "at")),
        (["pid", "churned", "value"], {"prediction_id": "pid", "value": "churned"}, Columns("pid", None, None, "churned", None)),
        (["who", "value", "day"], {"entity": "who", "at": "day"}, Columns(None, None, "who", "value", "day")),
    ],
)
def test_columns_are_known_by_their_names_or_named(there: list[str], named: dict[str, str], found: Columns) -> None:
    assert find_columns(INTERFACE, there, named) == found


@pytest.mark.parametrize(
    ("interface", "there", "named", "reason"),
    [
        (INTERFACE, ["prediction_id"], {}, "no column holds the true value; one called value, label or left would"),
        (INTERFACE, ["value", "who"], {}, "one called prediction_id, request_id or customer would"),
        (NAMELESS, ["value", "entity"], {}, "one called prediction_id, request_id would"),
        (NAMELESS, ["value", "who"], {"entity": "who"}, "the model has no entity"),
        (INTERFACE, ["value", "who"], {"entity": "whom"}, "it has no column 'whom'"),
        (INTERFACE, ["value", "who"], {"person": "who"}, "no label has the part person: choose from prediction_id"),
    ],
)
def test_columns_that_do_not_say_enough_are_refused(interface: Interface, there: list[str], named: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        find_columns(interface, there, named)


def test_a_line_becomes_a_label() -> None:
    assert good(prediction_id="p-1", left="yes", at="2026-11-20T12:00:00Z") | {"label_id": ""} == {
        "label_id": "",
        "model": "churn",
        "prediction_id": "p-1",
        "request_id": None,
        "entity": None,
        "value": "yes",
        "event_at": datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp(),
        "received_at": NOW,
        "timed": True,
    }


def test_the_surest_key_that_a_line_has_counts() -> None:
    assert good(prediction_id="p", request_id="r", customer="c", left="no")["prediction_id"] == "p"
    by_request = good(prediction_id=None, request_id="r", customer="c", left="no")
    assert (by_request["request_id"], by_request["entity"]) == ("r", None)
    assert good(customer=17, left="no")["entity"] == "17"
    assert good(customer=17.0, left="no")["entity"] == "17"


def test_without_a_time_a_label_is_true_now_and_yet_the_same_label_later() -> None:
    first = good(customer="c", left="no")
    later, _ = Labels("churn", INTERFACE, COLUMNS, now=NOW + 9).read(Row("line 9", {"customer": "c", "left": "no"}))
    assert later is not None
    assert (first["event_at"], later["event_at"]) == (NOW, NOW + 9)
    assert first["label_id"] == later["label_id"]


def test_any_other_content_is_another_label() -> None:
    lines: list[dict[str, Any]] = [
        {"customer": "c", "left": "no"},
        {"customer": "c", "left": "yes"},
        {"customer": "d", "left": "no"},
        {"request_id": "c", "left": "no"},
        {"customer": "c", "left": "no", "at": "1"},
    ]
    of_another = Labels("other", INTERFACE, COLUMNS, now=NOW).read(Row("", lines[0]))[0] or {}
    ids = [good(**line)["label_id"] for line in lines] + [of_another["label_id"]]
    assert len(set(ids)) == len(ids)
    assert good(customer="c", left="no", at="1.0")["label_id"] == good(customer="c", left="no", at=1)["label_id"]


CLASSES = "one of no, yes"
KEY = "a text of 1 to 256 printable characters"


@pytest.mark.parametrize(
    ("cells", "problems"),
    [
        ({"customer": "c", "left": "maybe"}, [Problem("left", "maybe", CLASSES)]),
        ({"customer": "c", "left": None}, [Problem("left", "", CLASSES)]),
        ({"left": "yes"}, [Problem("prediction_id", "", KEY)]),
        ({"customer": "x" * 257, "left": "yes"}, [Problem("customer", "x" * 256, KEY)]),
        ({"customer": "c", "left": "yes", "at": "yesterday"}, [Problem("at", "yesterday", AT_ALLOWED)]),
        ({"customer": "c", "left": "yes", "at": NOW + 301}, [Problem("at", "1800000301", AT_ALLOWED)]),
        ({"customer": "c", "left": "yes", "at": NOW * 1000}, [Problem("at", "1800000000000", AT_ALLOWED)]),
        ({"customer": "c", "left": "yes", "at": -1}, [Problem("at", "-1", AT_ALLOWED)]),
        ({"customer": "a\0b", "left": 1}, [Problem("customer", "a\0b", KEY), Problem("left", "1", CLASSES)]),
    ],
)
def test_a_bad_line_says_which_cell_and_what_is_allowed(cells: dict[str, Any], problems: list[Problem]) -> None:
    assert read(**cells) == (None, problems)


def test_a_line_that_could_not_be_read_is_bad() -> None:
    row = Row("line 3", {}, "the header has 2 cells, this line has 1")
    assert Labels("churn", INTERFACE, COLUMNS, now=NOW).read(row) == (None, [Problem("", "", row.trouble)])


@pytest.mark.parametrize(
    ("value", "decimal", "text"),
    [("12.5", ".", "12.5"), (12.5, ".", "12.5"), (3, ".", "3"), ("1.234,5", ",", "1234.5"), ("1.234", ",", "1234"), ("12.5", ",", "12.5")],
)
def test_the_label_of_a_regression_is_a_number(value: object, decimal: str, text: str) -> None:
    columns = Columns("id", None, None, "price", None)
    label, _ = Labels("houses", VALUE, columns, now=NOW, decimal=decimal).read(Row("", {"id": "p", "price": value}))
    assert label is not None
    assert label["value"] == text


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("2026-11-21", 1_795_219_200.0),
        ("20261121", 1_795_219_200.0),
        (20261121, 1_795_219_200.0),
        (date(2026, 11, 21), 1_795_219_200.0),
        ("2026-11-21 01:00", 1_795_222_800.0),
        ("2026-11-21T02:00:00+01:00", 1_795_222_800.0),
        (datetime(2026, 11, 21, 1), 1_795_222_800.0),  # noqa: DTZ001 -- as a Parquet file holds it
        ("1795222800", 1_795_222_800.0),
        (1_795_222_800.5, 1_795_222_800.5),
        ("21.11.2026", None),
        ("1_000", None),
        ("nan", None),
        (math.inf, None),
        (True, None),
        ([], None),
    ],
)
def test_a_time_is_iso_or_epoch_seconds(value: object, at: float | None) -> None:
    assert epoch(value) == at


@given(st.text() | st.floats() | st.integers())
def test_whatever_stands_in_a_cell_is_a_label_or_named(cell: object) -> None:
    label, problems = read(customer=cell, left=cell, at=cell)
    assert (label is None) == bool(problems)
