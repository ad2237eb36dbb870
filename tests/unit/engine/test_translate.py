"""Rows go from one interface to the next as if they had been encoded under it."""

import datetime as dt
import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from treadle.engine.encode import Encoder, to_matrix
from treadle.engine.translate import allowed, translated
from treadle.spec import BooleanFeature, CategoryFeature, DateFeature, Feature, Interface, NumberFeature, Target
from treadle.spec.evolution import broken, translation

NAMES = ("a", "b", "c", "d")
COLOURS = ("blue", "green", "red", "yellow", "white", "black")
DAY = dt.date(2026, 11, 21)


def interface_of(features: tuple[Feature, ...]) -> Interface:
    return Interface(task="binary", target=Target(name="left", classes=("no", "yes")), features=features)


@st.composite
def a_feature(draw: st.DrawFn, name: str, *, required: bool | None = None) -> Feature:
    """Draw any feature of this name."""
    must = draw(st.booleans()) if required is None else required
    kind = draw(st.sampled_from(("number", "integer", "category", "boolean", "date")))
    if kind == "category":
        listed = draw(st.lists(st.sampled_from(COLOURS), min_size=1, max_size=4, unique=True))
        return CategoryFeature(name=name, type="category", categories=tuple(listed), required=must)
    if kind == "boolean":
        return BooleanFeature(name=name, type="boolean", required=must)
    if kind == "date":
        return DateFeature(name=name, type="date", min=DAY, max=DAY + dt.timedelta(draw(st.integers(0, 90))), required=must)
    low = draw(st.integers(-50, 0))
    return NumberFeature(name=name, type=kind, min=low, max=draw(st.integers(0, 50)), required=must)


@st.composite
def evolved(draw: st.DrawFn, old: Interface) -> Interface:
    """Draw an interface that may follow: columns and categories in any order, ranges wider, columns optional, one new."""
    grown = [draw(grown_from(feature)) for feature in old.features]
    spare = [name for name in NAMES if name not in old.feature_names]
    if draw(st.booleans()) and spare:
        grown.append(draw(a_feature(spare[0], required=False)))
    return interface_of(tuple(draw(st.permutations(grown))))


@st.composite
def grown_from(draw: st.DrawFn, feature: Feature) -> Feature:
    """Draw a feature that takes whatever this one takes."""
    change: dict[str, Any] = {"required": feature.required and draw(st.booleans())}
    if isinstance(feature, CategoryFeature):
        more = draw(st.lists(st.sampled_from(COLOURS), max_size=2))
        change["categories"] = tuple(draw(st.permutations(list(dict.fromkeys([*feature.categories, *more])))))
    elif isinstance(feature, NumberFeature):
        change |= {"max": draw(st.sampled_from((feature.max, 99.0, None))), "type": draw(st.sampled_from((feature.type, "number")))}
    elif isinstance(feature, DateFeature):
        change["min"] = draw(st.sampled_from((feature.min, None)))
    return feature.model_copy(update=change)


@st.composite
def a_row(draw: st.DrawFn, interface: Interface) -> dict[str, Any]:
    """Draw a row that a caller may send."""
    return {
        feature.name: None if not feature.required and draw(st.booleans()) else draw(a_value(feature)) for feature in interface.features
    }


def a_value(feature: Feature) -> st.SearchStrategy[Any]:
    if isinstance(feature, CategoryFeature):
        return st.sampled_from(feature.categories)
    if isinstance(feature, BooleanFeature):
        return st.booleans()
    if isinstance(feature, DateFeature):
        return st.dates(feature.min or DAY, feature.max or DAY).map(str)
    low, high = feature.min or 0.0, 50.0 if feature.max is None else feature.max
    return st.integers(int(low), int(high)) if feature.type == "integer" else st.floats(low, high)


first = st.integers(1, 3).flatmap(lambda count: st.tuples(*(a_feature(name) for name in NAMES[:count]))).map(interface_of)


@st.composite
def history(draw: st.DrawFn) -> tuple[Interface, Interface, Interface, list[dict[str, Any]]]:
    """Draw three interfaces, each a compatible follower of the one before, and rows of the first."""
    one = draw(first)
    two = draw(evolved(one))
    three = draw(evolved(two))
    return one, two, three, draw(st.lists(a_row(one), min_size=1, max_size=4))


def taken_over(old: Interface, new: Interface, matrix: np.ndarray) -> np.ndarray:
    how = translation(old, new)
    assert how is not None
    return translated(how, matrix)


@given(history())
def test_a_translated_row_is_the_row_as_the_new_interface_encodes_it(drawn: Any) -> None:
    one, two, _, rows = drawn
    assert broken(one, two) == ()
    encoded = to_matrix(one, rows)
    np.testing.assert_array_equal(taken_over(one, two, encoded), to_matrix(two, rows))
    np.testing.assert_array_equal(taken_over(one, two, encoded), Encoder(two).batch(rows)[0])


@given(history())
def test_translating_twice_is_translating_once(drawn: Any) -> None:
    one, two, three, rows = drawn
    matrix = to_matrix(one, rows)
    np.testing.assert_array_equal(taken_over(two, three, taken_over(one, two, matrix)), taken_over(one, three, matrix))


@given(history())
def test_there_and_back_nothing_is_lost(drawn: Any) -> None:
    one, two, _, rows = drawn
    back = translation(two, one)
    if back is not None:
        matrix = to_matrix(one, rows)
        np.testing.assert_array_equal(translated(back, taken_over(one, two, matrix)), matrix)


@given(history())
def test_what_a_caller_may_send_is_allowed_before_and_after(drawn: Any) -> None:
    one, two, _, rows = drawn
    matrix = to_matrix(one, rows)
    assert allowed(one, matrix).all()
    assert allowed(two, taken_over(one, two, matrix)).all()


@given(first)
def test_where_nothing_changed_the_very_matrix_comes_back(interface: Interface) -> None:
    matrix = np.zeros((3, len(interface.features)), dtype=np.float32)
    assert taken_over(interface, interface, matrix) is matrix


COLOUR = CategoryFeature(name="colour", type="category", categories=("blue", "red"))
SIZE = NumberFeature(name="size", type="integer", min=0, max=10)


def test_back_to_an_earlier_interface_what_it_does_not_list_is_unknown_and_not_allowed() -> None:
    old = interface_of((COLOUR, SIZE))
    new = interface_of((SIZE.model_copy(update={"max": 20}), COLOUR.model_copy(update={"categories": ("green", "red", "blue")})))
    matrix = np.array([[5, 0], [5, 1], [15, 2], [5.5, 2]], dtype=np.float32)
    back = taken_over(new, old, matrix)
    np.testing.assert_array_equal(back, [[-1, 5], [1, 5], [0, 15], [0, 5.5]])
    assert allowed(old, back).tolist() == [False, True, False, False]


def test_missing_and_unknown_categories_stay_so() -> None:
    old, new = interface_of((COLOUR,)), interface_of((COLOUR.model_copy(update={"categories": ("red", "blue")}),))
    back = taken_over(old, new, np.array([[math.nan], [-1], [0], [1]], dtype=np.float32))
    np.testing.assert_array_equal(back, [[math.nan], [-1], [1], [0]])
    assert allowed(new, back).tolist() == [False, False, True, True]


def test_a_value_on_a_bound_that_float32_rounds_up_is_allowed() -> None:
    interface = interface_of(
        (NumberFeature(name="share", type="number", min=0, max=0.1), NumberFeature(name="free", type="number", max=1e300))
    )
    assert allowed(interface, to_matrix(interface, [{"share": 0.1, "free": 1}])).all()
