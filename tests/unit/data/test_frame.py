import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame

from tests.unit.data.conftest import Contracts
from treadle.data.frame import frame_from_log, matrix, target
from treadle.engine.encode import to_matrix
from treadle.errors import TargetInvalid
from treadle.spec import Interface
from treadle.state.log import LabelledRows


def logged(interface: Interface, rows: np.ndarray, labels: list[str], entity: list[str | None]) -> LabelledRows:
    count = len(rows)
    return LabelledRows(
        ids=[str(number) for number in range(count)],
        at=np.arange(count, dtype=np.float64),
        version=np.ones(count, dtype=np.int64),
        role=["champion"] * count,
        entity=entity,
        matrix=rows,
        scores=np.zeros((count, interface.score_count), dtype=np.float32),
        labels=labels,
    )


def test_a_number_a_truth_and_a_category_become_floats(contract: Contracts) -> None:
    frame = DataFrame({"age": [30, 31], "income": [10.5, None], "plan": ["plus", "gold"], "member": [True, False], "other": ["a", "b"]})
    expected = np.array([[30, 10.5, 1, 1], [31, np.nan, -1, 0]], dtype=np.float32)
    encoded = matrix(contract().interface, frame)
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded, expected)


def test_whatever_is_missing_is_nan(contract: Contracts) -> None:
    frame = DataFrame(
        {
            "age": pd.array([None, 3], dtype="Int64"),
            "income": [None, None],
            "plan": pd.array([None, "basic"], dtype="str"),
            "member": pd.array([None, True], dtype="boolean"),
        }
    )
    np.testing.assert_array_equal(matrix(contract().interface, frame), np.array([[np.nan] * 4, [3, np.nan, 0, 1]], dtype=np.float32))


def test_the_encoding_is_that_of_a_request(contract: Contracts, people: DataFrame) -> None:
    interface = contract().interface
    people.loc[3, "plan"] = "gold"
    people.loc[4, "plan"] = None
    rows = [{str(name): value for name, value in row.items() if not pd.isna(value)} for row in people.to_dict("records")]
    np.testing.assert_array_equal(matrix(interface, people), to_matrix(interface, rows))


def test_a_class_becomes_its_index_and_a_regression_keeps_its_value(contract: Contracts) -> None:
    np.testing.assert_array_equal(target(contract().interface, DataFrame({"left": ["yes", "no"]})), [1, 0])
    interface = contract(task="regression", target={"name": "price"}).interface
    values = target(interface, DataFrame({"price": [2, 3]}))
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, [2.0, 3.0])


@pytest.mark.parametrize("labels", [["no", "maybe"], ["no", None]])
def test_an_unknown_or_missing_class_is_refused(contract: Contracts, labels: list[str | None]) -> None:
    with pytest.raises(
        TargetInvalid, match=f"1 rows have a target left that is not allowed, such as {labels[1]!r}; allowed: choose from no, yes"
    ):
        target(contract().interface, DataFrame({"left": labels}))


def test_an_infinite_target_of_a_regression_is_refused(contract: Contracts) -> None:
    interface = contract(task="regression", target={"name": "price"}).interface
    with pytest.raises(TargetInvalid, match="a finite number"):
        target(interface, DataFrame({"price": [1.0, np.inf]}))


def test_logged_rows_come_back_as_they_went_in(contract: Contracts, people: DataFrame) -> None:
    interface = contract().interface
    people["income"] = people["income"].astype("float32").astype("float64")
    rows = logged(interface, matrix(interface, people), people["left"].tolist(), people["person"].tolist())
    back = frame_from_log(interface, rows)
    pd.testing.assert_frame_equal(back[people.columns], people.astype({"age": "float64"}))
    np.testing.assert_array_equal(matrix(interface, back), rows.matrix)


def test_what_the_log_does_not_know_comes_back_missing(contract: Contracts) -> None:
    interface = contract(time="seen").interface
    rows = logged(interface, np.array([[1, 2, -1, np.nan], [1, 2, np.nan, 1]], dtype=np.float32), ["no", "yes"], [None, "p1"])
    back = frame_from_log(interface, rows)
    assert back["plan"].isna().all()
    assert back["member"].isna().tolist() == [True, False]
    assert back["person"].isna().tolist() == [True, False]
    assert back["seen"].iloc[1] == pd.Timestamp("1970-01-01T00:00:01Z")
    assert np.isnan(matrix(interface, back)[:, 2]).all()


def test_labels_of_a_regression_come_back_as_numbers(contract: Contracts) -> None:
    interface = contract(task="regression", target={"name": "price"}, entity=None).interface
    back = frame_from_log(interface, logged(interface, np.zeros((2, 4), dtype=np.float32), ["1.5", "2"], [None, None]))
    assert back["price"].tolist() == [1.5, 2.0]
