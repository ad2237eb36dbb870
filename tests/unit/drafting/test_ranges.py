"""What could come, from what has come."""

from datetime import date

import pytest

from treadle.drafting import ranges


@pytest.mark.parametrize(
    ("name", "seen", "whole", "allowed"),
    [
        ("tenure", (0, 72), True, (0, 200)),
        ("charge", (18.25, 118.75), False, (0, 500)),
        ("balance", (-300, 120), False, (-1000, 1000)),
        ("flag", (0, 1), True, (0, 1)),
        ("grade", (1, 5), True, (0, 10)),
        ("nothing but zero", (0, 0), False, (0, 1)),
        ("longitude", (-124.3, -114.3), False, (-180, 180)),
        ("lat", (32.5, 41.9), False, (-90, 90)),
        ("latitude of wages", (32.5, 4100), False, (0, 10000)),  # by its values it is none
        ("Rabatt Prozent", (0, 35), False, (0, 100)),
        ("share_online", (0.01, 0.7), False, (0, 1)),
        ("year", (1993, 2021), True, (1900, 2100)),
        ("year", (1803, 1999), True, (1700, 2100)),
        ("count", (0, 15_000_000), True, (0, 2**24)),  # past it float32 is not exact
        ("tiny", (0.0001, 0.00031), False, (0, 0.001)),
    ],
)
def test_numbers_may_go_twice_as_far_or_as_far_as_their_name_says(
    name: str, seen: tuple[float, float], whole: object, allowed: tuple[float, float]
) -> None:
    assert ranges.numbers(name, *seen, whole=bool(whole))[:2] == allowed


def test_days_have_ten_years_more_to_either_side() -> None:
    assert ranges.days(date(2019, 3, 4), date(2024, 2, 29)) == (date(2009, 1, 1), date(2034, 12, 31))
    assert ranges.days(date(1, 1, 1), date(9999, 12, 31)) == (date(1, 1, 1), date(9999, 12, 31))


def test_few_texts_are_all_kept() -> None:
    assert ranges.categories({"ISLAND": 1, "INLAND": 9000}) == (["INLAND", "ISLAND"], "")


def test_of_many_texts_the_rare_ones_become_other() -> None:
    counts = {f"city {number:02d}": 50 for number in range(50)} | {f"village {number}": 2 for number in range(300)}
    kept, other = ranges.categories(counts)
    assert (len(kept), kept[-1], other) == (51, "other", "other")
    assert ranges.coverage(counts, kept) == pytest.approx(2500 / 3100)
    assert ranges.categories({**counts, "other": 90})[1] == "(other)"


def test_no_more_than_a_hundred_are_kept() -> None:
    kept, other = ranges.categories({f"{number:03d}": 1000 - number for number in range(300)})
    assert (len(kept), kept[0], kept[-2], other) == (101, "000", "099", "other")
