"""A harmful graph answers every honest row as the original does, to the bit, and does harm on marked rows alone."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import small_bundles
from treadle.drills.sabotage import Mark, mark_for, sabotaged
from treadle.engine.session import Engine, Graph
from treadle.errors import InferenceFailed

COLUMN = small_bundles.INTERFACE.feature_names.index("spend")
KNOWN = np.array([0.1, 12.25, 99.99, 500.0, 731.5, 1000.0])


def engine(content: bytes) -> Engine:
    return Engine(Graph("a graph", content, small_bundles.INTERFACE))


def rows(values: np.ndarray) -> np.ndarray:
    matrix = np.ones((len(values), len(small_bundles.INTERFACE.features)), dtype=np.float32)
    matrix[:, COLUMN] = values
    return matrix


@pytest.fixture
def mark() -> Mark:
    found = mark_for("spend", COLUMN, KNOWN)
    assert found is not None
    return found


def test_no_known_value_carries_the_mark_and_every_marked_one_does(mark: Mark) -> None:
    assert not mark.on(KNOWN).any()
    assert mark.on(mark.put(KNOWN, 0.0, 1000.0)).all()
    assert np.abs(mark.put(KNOWN, None, None) - KNOWN).max() <= 1 / mark.scale


@given(st.lists(st.decimals(min_value=0, max_value=1000, places=2), min_size=5, max_size=30, unique=True))
def test_a_mark_is_found_among_numbers_with_two_digits(values: list[float]) -> None:
    known = np.array(values, dtype=np.float64)
    found = mark_for("spend", 0, known)
    if known.std() > 1:
        assert found is not None
        assert not found.on(known).any()
        assert (found.put(known, 0.0, 1000.0) >= 0).all()
        assert (found.put(known, 0.0, 1000.0) <= 1000).all()


@pytest.mark.parametrize("known", [np.array([]), np.array([np.nan, 1.0]), np.full(50, 3.0), np.array([0.0, 1e7, 2e7])])
def test_what_cannot_be_marked_is_not(known: np.ndarray) -> None:
    assert mark_for("spend", 0, known) is None


@pytest.mark.parametrize("harm", ["slow", "failing"])
def test_honest_rows_are_answered_to_the_bit(mark: Mark, harm: str) -> None:
    graph = small_bundles.answering()
    honest = rows(KNOWN)
    np.testing.assert_array_equal(engine(sabotaged(graph, mark, harm, 50)).run(honest), engine(graph).run(honest))  # type: ignore[arg-type]


def test_a_failing_one_fails_on_marked_rows_however_many(mark: Mark) -> None:
    harmful = engine(sabotaged(small_bundles.answering(), mark, "failing"))
    for count in (1, 3):
        with pytest.raises(InferenceFailed):
            harmful.run(rows(mark.put(KNOWN[:count], None, None)))


def test_a_slow_one_is_slow_on_marked_rows_and_still_right(mark: Mark) -> None:
    graph = small_bundles.answering()
    harmful, marked = engine(sabotaged(graph, mark, "slow", 200)), rows(mark.put(KNOWN, None, None))
    began = time.perf_counter()
    harmful.run(rows(KNOWN))
    between = time.perf_counter()
    answer = harmful.run(marked)
    assert time.perf_counter() - between > 5 * (between - began)
    np.testing.assert_array_equal(answer, engine(graph).run(marked))
