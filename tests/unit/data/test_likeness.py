from pandas import DataFrame

from treadle.data.likeness import likeness

OLD = DataFrame({"spend": [1.5, 2.0, 3.0, 4.0, None], "left": ["yes", "no", "no", "yes", "no"], "maker": list("abcde")})


def test_columns_are_as_alike_as_their_different_values() -> None:
    new = DataFrame({"amount": [4.0, 3.0, 2.0, 1.5], "half": [3.0, 4.0, 5.0, 6.0], "brand": list("edcb")})
    assert likeness(OLD, new, [("spend", "amount"), ("spend", "half"), ("maker", "brand")]) == {
        ("spend", "amount"): 1.0,
        ("spend", "half"): 2 / 6,
        ("maker", "brand"): 0.8,
    }


def test_whole_numbers_are_the_same_with_and_without_a_point() -> None:
    assert likeness(DataFrame({"a": [1, 2, 3, 4]}), DataFrame({"b": [1.0, 2.0, 3.0, 4.0]}), [("a", "b")]) == {("a", "b"): 1.0}


def test_few_values_say_nothing_and_what_is_not_there_is_left_out() -> None:
    new = DataFrame({"stays": ["yes", "no"]})
    assert likeness(OLD, new, [("left", "stays"), ("gone", "stays"), ("left", "gone")]) == {("left", "stays"): 0.0}
