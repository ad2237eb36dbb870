import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from pandas import DataFrame

from tests.unit.data.conftest import Contracts
from treadle.data.split import Split, split
from treadle.errors import SplitImpossible
from treadle.spec import Interface

FEATURE = {"name": "x", "type": "number"}


def regression(by: str, folds: int = 3, holdout: float = 0.25) -> Interface:
    target = {"name": "y"}
    parting = {"by": by, "folds": folds, "holdout": holdout}
    return Interface.model_validate(
        {"task": "regression", "target": target, "features": [FEATURE], "entity": "who", "time": "at", "split": parting}
    )


def require_partition(parted: Split, rows: int) -> None:
    assert sorted([*parted.train, *parted.holdout]) == list(range(rows))
    for learn, judge in parted.folds:
        assert not set(learn) & set(judge)
        assert {*learn, *judge} <= set(parted.train)


def test_a_random_split_keeps_the_shares_of_the_classes(contract: Contracts, people: DataFrame) -> None:
    parted = split(contract().interface, people, seed=3)
    require_partition(parted, 200)
    share = (people["left"] == "yes").mean()
    assert len(parted.holdout) == 40
    for rows in (parted.train, parted.holdout, *(judge for _, judge in parted.folds)):
        assert (people["left"].iloc[rows] == "yes").mean() == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("by", ["random", "entity", "time"])
def test_the_same_seed_gives_the_same_split(contract: Contracts, people: DataFrame, by: str) -> None:
    people["at"] = np.arange(200)
    interface = contract(split={"by": by}, time="at").interface
    first, second = split(interface, people, seed=3), split(interface, people, seed=3)
    np.testing.assert_array_equal(first.holdout, second.holdout)
    for one, other in zip(first.folds, second.folds, strict=True):
        np.testing.assert_array_equal(one[1], other[1])


def test_another_seed_gives_another_split(contract: Contracts, people: DataFrame) -> None:
    interface = contract().interface
    assert set(split(interface, people, seed=3).holdout) != set(split(interface, people, seed=4).holdout)


def test_no_entity_stands_on_both_sides(contract: Contracts, people: DataFrame) -> None:
    parted = split(contract(split={"by": "entity"}).interface, people, seed=1)
    require_partition(parted, 200)
    who = people["person"].to_numpy()
    assert not set(who[parted.train]) & set(who[parted.holdout])
    for learn, judge in parted.folds:
        assert not set(who[learn]) & set(who[judge])


def test_a_row_without_an_entity_stands_for_itself(contract: Contracts, people: DataFrame) -> None:
    people.loc[:149, "person"] = None
    parted = split(contract(split={"by": "entity"}).interface, people, seed=1)
    require_partition(parted, 200)
    assert set(np.flatnonzero(people["person"].isna())) & set(parted.holdout)


@given(times=st.lists(st.integers(0, 40), min_size=30, max_size=80), seed=st.integers(0, 3))
def test_a_split_by_time_never_looks_ahead(times: list[int], seed: int) -> None:
    frame = DataFrame({"x": 0.0, "y": 1.0, "who": "a", "at": pd.Timestamp(0, tz="UTC") + pd.to_timedelta(times, unit="h")})
    try:
        parted = split(regression("time"), frame, seed)
    except SplitImpossible:
        return
    require_partition(parted, len(times))
    at = np.array(times)
    assert at[parted.train].max() < at[parted.holdout].min()
    assert len(parted.folds) == 3
    for learn, judge in parted.folds:
        assert at[learn].max() < at[judge].min()


@given(owners=st.lists(st.integers(0, 30), min_size=20, max_size=60), seed=st.integers(0, 3))
def test_entities_of_a_regression_stay_whole(owners: list[int], seed: int) -> None:
    frame = DataFrame({"x": 0.0, "y": 1.0, "who": owners, "at": 0})
    try:
        parted = split(regression("entity"), frame, seed)
    except SplitImpossible:
        assert len(set(owners)) < 5
        return
    require_partition(parted, len(owners))
    who = np.array(owners)
    assert not set(who[parted.train]) & set(who[parted.holdout])


def test_too_few_rows_of_a_class_are_named(contract: Contracts, people: DataFrame) -> None:
    people["left"] = ["yes"] * 3 + ["no"] * 197
    with pytest.raises(SplitImpossible, match="the class 'yes' has only 3 rows"):
        split(contract().interface, people, seed=1)


def test_too_few_rows_and_entities_are_named(contract: Contracts, people: DataFrame) -> None:
    with pytest.raises(SplitImpossible, match="there are only 4 rows"):
        split(contract().interface, people.head(4), seed=1)
    people["person"] = people["person"].str[:2]
    with pytest.raises(SplitImpossible, match="there are only 10 different values of person"):
        split(contract(split={"by": "entity"}).interface, people, seed=1)


def test_too_few_different_times_are_named(people: DataFrame) -> None:
    frame = DataFrame({"x": 0.0, "y": 1.0, "who": "a", "at": [1] * 50 + [2] * 50})
    with pytest.raises(SplitImpossible, match="100 rows stand at only 2 different times"):
        split(regression("time"), frame, 1)
