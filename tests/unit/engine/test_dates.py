"""A date travels as ISO text in a request, as a day in a frame, and as days after 1970-01-01 in the matrix."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas import DataFrame

from treadle.data.frame import frame_from_log, matrix
from treadle.data.validate import check
from treadle.engine.encode import Encoder, example, row_model, to_matrix
from treadle.errors import RequestInvalid
from treadle.simulation.traffic import to_payloads
from treadle.spec import Contract, Interface
from treadle.state.log import LabelledRows

INTERFACE = Interface.model_validate(
    {
        "task": "regression",
        "target": {"name": "price"},
        "features": [
            {"name": "signed", "type": "date", "min": "2000-01-01", "max": "2040-12-31", "required": False},
            {"name": "size", "type": "number"},
        ],
    }
)
CONTRACT = Contract.model_validate(
    {"name": "houses", "data": [{"kind": "bundled", "library": "tests"}], "interface": INTERFACE.model_dump(mode="json")}
)
ENCODER = Encoder(INTERFACE)
DAYS = st.dates(date(2000, 1, 1), date(2040, 12, 31))


@given(DAYS)
def test_request_frame_and_matrix_agree_on_every_day(day: date) -> None:
    frame = DataFrame({"signed": pd.to_datetime([day]) + timedelta(hours=23), "size": [1.0]})
    by_request = ENCODER.matrix({"signed": day.isoformat(), "size": 1.0})[0]
    np.testing.assert_array_equal(by_request, [[(day - date(1970, 1, 1)).days, 1.0]])
    np.testing.assert_array_equal(by_request, matrix(INTERFACE, frame))
    np.testing.assert_array_equal(by_request, to_matrix(INTERFACE, [{"signed": day.isoformat(), "size": 1.0}]))
    assert to_payloads(INTERFACE, frame)[0]["signed"] == day.isoformat()


def test_a_missing_day_is_nan_and_comes_back_missing_from_the_log() -> None:
    rows = matrix(INTERFACE, DataFrame({"signed": pd.to_datetime(["2024-05-17", "NaT"]), "size": [1.0, 2.0]}))
    assert np.isnan(rows[1, 0])
    log = LabelledRows(
        ["a", "b"], np.zeros(2), np.ones(2, np.int64), ["champion"] * 2, [None] * 2, rows, np.zeros((2, 1), np.float32), ["1", "2"]
    )
    back = frame_from_log(INTERFACE, log)["signed"]
    assert (back[0], back[1] is pd.NaT) == (pd.Timestamp("2024-05-17"), True)


@pytest.mark.parametrize(
    "value", ["2024-5-17", "20240517", "2024-W20-5", "1999-12-31", "2041-01-01", "2024-02-30", 19860, True, ["2024-05-17"]]
)
def test_what_is_no_day_of_the_contract_is_refused(value: object) -> None:
    with pytest.raises(RequestInvalid, match="allowed: a date such as 2000-01-01 from 2000-01-01 to 2040-12-31, or null"):
        ENCODER.row({"signed": value, "size": 1})


def test_the_example_and_the_schema_are_those_of_a_date() -> None:
    assert example(INTERFACE)["signed"] == "2000-01-01"
    assert row_model(INTERFACE).model_json_schema()["properties"]["signed"]["anyOf"][0]["format"] == "date"
    assert Interface.model_validate_json(INTERFACE.model_dump_json()) == INTERFACE


@pytest.mark.parametrize(
    ("value", "phrase"),
    [("1999-12-31", "before the earliest allowed day 2000-01-01"), ("2041-01-01", "after the latest allowed day"), ("soon", "no dates")],
)
def test_data_with_a_wrong_day_are_refused(value: str, phrase: str) -> None:
    frame = DataFrame({"signed": ["2024-05-17"] * 9 + [value], "size": range(10), "price": np.arange(10.0)})
    assert any(phrase in problem.message for problem in check(CONTRACT, frame).problems)


@pytest.mark.parametrize(
    "wrong", [{"min": "2024-01-02", "max": "2024-01-01"}, {"min": "2024-01-01", "example": "2023-12-31"}, {"max": "2024-13-01"}]
)
def test_days_that_contradict_each_other_make_no_feature(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"signed|date"):
        Interface.model_validate({"task": "regression", "target": {"name": "y"}, "features": [{"name": "signed", "type": "date", **wrong}]})
