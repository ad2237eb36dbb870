"""Rows from an endless stream of blocks."""

import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from pandas import DataFrame

from treadle.simulation.stream import Stream


def blocks(size: int) -> Iterator[DataFrame]:
    for block in itertools.count():
        yield DataFrame({"n": range(block * size, (block + 1) * size)})


@given(st.integers(1, 7), st.lists(st.integers(0, 30), max_size=8))
def test_how_much_is_taken_at_a_time_changes_no_row(size: int, counts: list[int]) -> None:
    stream = Stream(blocks(size))
    taken = [stream.take(count) for count in counts]
    assert [len(rows) for rows in taken] == counts
    assert [n for rows in taken for n in rows["n"]] == list(range(sum(counts)))
    assert all(list(rows.index) == list(range(len(rows))) for rows in taken)
