"""Moments and durations as people read and write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.times import UNITS, moment, seconds, span, when


@pytest.mark.parametrize(
    ("length", "text"),
    [(0, "0s"), (0.25, "250ms"), (1, "1s"), (90, "90s"), (120, "2m"), (5400, "90m"), (86400, "1d"), (90000, "25h"), (1.5, "1.5s")],
)
def test_a_duration_is_told_in_the_largest_unit_that_gives_a_whole_number(length: float, text: str) -> None:
    assert span(length) == text
    assert seconds(text) == length


@given(st.integers(0, 9999), st.sampled_from(["s", "m", "h", "d"]))
def test_a_duration_that_is_told_is_read_again(number: int, unit: str) -> None:
    length = number * UNITS[unit]
    assert seconds(span(length)) == length


@pytest.mark.parametrize("text", ["", "5", "m", "5 min", "-5m", "5m 3s", "1e3s", "inf"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="number with a unit"):
        seconds(text)


def test_a_moment_is_named_by_its_distance_or_by_itself() -> None:
    assert moment("2h", 10_000.0) == 2_800.0
    assert when(moment(" 2031-05-01 ", 0.0)) == "2031-05-01 00:00:00"
    assert moment("2031-05-01T12:00:00+00:00", 0.0) == moment("2031-05-01T14:00:00+02:00", 0.0)
    with pytest.raises(ValueError, match="Invalid isoformat"):
        moment("yesterday", 0.0)
