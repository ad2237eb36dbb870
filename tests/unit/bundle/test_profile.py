import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.unit.bundle.conftest import INTERFACE, rows
from treadle.bundle.profile import CategoryColumn, Floats, Layout, NumericColumn, Profile, build, edges_of, merged, parse
from treadle.errors import BundleInvalid
from treadle.spec import Interface, NumberFeature, Target

NAN = np.nan
MATRIX, SCORES = rows(400)
PROFILE = build(INTERFACE, MATRIX, SCORES)
MULTICLASS = Interface(
    task="multiclass", target=Target(name="kind", classes=("a", "b", "c")), features=(NumberFeature(name="size", type="number"),)
)
REGRESSION = Interface(task="regression", target=Target(name="price"), features=(NumberFeature(name="size", type="number"),))

columns = arrays(np.float32, st.integers(1, 400), elements=st.floats(width=32, allow_nan=True, allow_infinity=False))
counts = arrays(np.int64, 40, elements=st.integers(0, 10**6))


def floats(*values: float) -> Floats:
    return np.array(values, dtype=np.float32)


def test_a_number_is_counted_up_to_and_with_its_edge() -> None:
    column = NumericColumn("size", (0.0, 10.0))

    assert column.slot(floats(-1, 0, 0.1, 10, 11, np.inf, -np.inf, NAN)).tolist() == [0, 0, 1, 1, 2, 2, 0, 3]


def test_a_category_has_a_slot_and_so_have_unseen_and_missing() -> None:
    column = CategoryColumn("plan", ("basic", "plus"))

    assert column.slot(floats(0, 1, -1, 2, NAN)).tolist() == [0, 1, 2, 2, 3]


@pytest.mark.parametrize("edges", [(1.0, 1.0), (2.0, 1.0), tuple(map(float, range(256)))])
def test_edges_that_do_not_increase_or_are_too_many_are_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="edges of size"):
        NumericColumn("size", edges)


@given(columns)
def test_edges_are_increasing_float32_and_few(values: Floats) -> None:
    edges = np.array(edges_of(values))

    assert len(edges) <= 255
    assert np.all(np.diff(edges) > 0)
    assert np.array_equal(edges, edges.astype(np.float32))


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=254, unique=True))
def test_few_distinct_values_have_a_bin_each_and_what_is_outside_has_another(values: list[float]) -> None:
    distinct = np.unique(floats(*values))
    column = NumericColumn("size", edges_of(floats(*values)))
    outside = floats(distinct[0] - abs(distinct[0]) - 1, distinct[-1] + abs(distinct[-1]) + 1)

    slots = column.slot(np.concatenate([distinct, outside])).tolist()

    assert len(set(slots)) == len(distinct) + 2
    assert column.slots == len(distinct) + 3


def test_many_distinct_values_share_bins_of_equal_mass() -> None:
    values = np.random.default_rng(3).normal(size=25_400).astype(np.float32)
    column = NumericColumn("size", edges_of(values))

    mass = np.bincount(column.slot(values), minlength=column.slots)

    assert column.slots == 257
    assert mass[0] == mass[-2] == mass[-1] == 0  # below, above, missing
    assert 99 <= mass[1:-2].min() <= mass[1:-2].max() <= 101


@pytest.mark.parametrize("values", [(), (NAN,), (np.inf, -np.inf)])
def test_a_column_without_a_finite_value_has_one_bin(values: tuple[float, ...]) -> None:
    assert edges_of(floats(*values)) == ()
    assert NumericColumn("size", ()).slot(floats(3, NAN)).tolist() == [0, 1]


def test_the_bin_of_zero_does_not_hang_on_subnormal_numbers() -> None:
    assert edges_of(floats(0, 0)) == (-float(np.finfo(np.float32).tiny), 0.0)


def test_the_smallest_float_needs_no_bin_below_it() -> None:
    smallest = float(np.finfo(np.float32).min)

    assert edges_of(floats(smallest, 1)) == (smallest, 1.0)


@given(st.lists(st.integers(0, 19), min_size=400, max_size=400), st.randoms(use_true_random=False))
def test_parts_in_any_order_count_as_the_whole(parts: list[int], random: "np.random.RandomState") -> None:
    order = list(range(20))
    random.shuffle(order)
    belongs = np.array(parts)

    total = np.zeros(PROFILE.layout.size, dtype=np.int64)
    for part in order:
        total += PROFILE.layout.count(MATRIX[belongs == part], SCORES[belongs == part])

    assert np.array_equal(total, PROFILE.counts)


@given(st.permutations(range(len(MATRIX))))
def test_the_order_of_rows_does_not_change_the_profile(order: list[int]) -> None:
    assert build(INTERFACE, MATRIX[order], SCORES[order]).to_bytes() == PROFILE.to_bytes()


def test_each_column_counts_every_row_once() -> None:
    split = PROFILE.layout.split(PROFILE.counts)

    assert list(split) == ["spend", "visits", "plan", "member", "prediction", "score"]
    assert {int(counted.sum()) for counted in split.values()} == {400}
    assert PROFILE.rows == 400


def test_the_features_are_counted_as_they_stand_in_the_matrix() -> None:
    plan, member = MATRIX[:, 2], MATRIX[:, 3]
    split = PROFILE.layout.split(PROFILE.counts)

    assert split["plan"].tolist() == [*[(plan == code).sum() for code in (0, 1, 2, -1)], np.isnan(plan).sum()]
    assert split["member"].tolist() == [(member == 0).sum(), (member == 1).sum(), 0, np.isnan(member).sum()]
    assert split["spend"][-1] == np.isnan(MATRIX[:, 0]).sum()


def test_a_binary_model_has_the_winner_and_the_positive_score() -> None:
    negative = Interface.model_validate({**INTERFACE.model_dump(), "target": {**INTERFACE.target.model_dump(), "positive": "no"}})
    split = PROFILE.layout.split(PROFILE.counts)
    layout = build(negative, MATRIX, SCORES).layout

    assert split["prediction"].tolist() == [(SCORES[:, 0] >= 0.5).sum(), (SCORES[:, 1] > 0.5).sum(), 0, 0]
    assert PROFILE.layout.outputs[1] == NumericColumn("score", edges_of(SCORES[:, 1]))
    assert layout.outputs[1] == NumericColumn("score", edges_of(SCORES[:, 0]))


def test_a_multiclass_model_has_the_winner_and_its_score() -> None:
    scores = floats(0.2, 0.5, 0.3, 0.6, 0.3, 0.1, NAN, 0.3, 0.1).reshape(3, 3)
    profile = build(MULTICLASS, floats(1, 2, 3).reshape(3, 1), scores)
    split = profile.layout.split(profile.counts)

    assert split["prediction"].tolist() == [1, 1, 0, 0, 1]
    assert profile.layout.outputs[1] == NumericColumn("score", edges_of(floats(0.5, 0.6)))
    assert split["score"].tolist() == [0, 1, 1, 0, 1]


def test_a_regression_has_the_value_alone() -> None:
    profile = build(REGRESSION, floats(1, 2).reshape(2, 1), floats(10, 20).reshape(2, 1))

    assert [column.name for column in profile.layout.outputs] == ["prediction"]
    assert profile.layout.split(profile.counts)["prediction"].tolist() == [0, 1, 1, 0, 0]


def test_no_rows_count_as_zeros() -> None:
    assert not PROFILE.layout.count(MATRIX[:0], SCORES[:0]).any()


def test_a_profile_survives_its_bytes() -> None:
    again = parse(PROFILE.to_bytes())

    assert again.layout == PROFILE.layout
    assert np.array_equal(again.counts, PROFILE.counts)
    assert (again.digest, again.layout.digest) == (PROFILE.digest, PROFILE.layout.digest)
    assert np.array_equal(again.layout.count(MATRIX, SCORES), PROFILE.counts)


def test_the_digest_of_the_layout_does_not_hang_on_the_counts() -> None:
    more = Profile(PROFILE.layout, PROFILE.counts * 2)

    assert more.digest != PROFILE.digest
    assert more.layout.digest == PROFILE.layout.digest
    assert Layout(PROFILE.layout.features, PROFILE.layout.outputs, positive=0).digest != PROFILE.layout.digest


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"counts": [1, 2]}, "has 2 counts"),
        ({"counts": [-1]}, "is not a profile"),
        ({"counts": [2**63]}, "is not a profile"),
        ({"extra": 1}, "is not a profile"),
        ({"layout": {"features": [{"kind": "number", "name": "a", "edges": [2, 1]}], "outputs": []}}, "strictly increasing"),
    ],
)
def test_what_is_no_profile_is_refused(change: dict[str, object], reason: str) -> None:
    stored = json.loads(PROFILE.to_bytes()) | change

    with pytest.raises(BundleInvalid, match=reason):
        parse(json.dumps(stored).encode())


@given(counts, counts, st.integers(1, 20))
def test_merging_loses_no_row_and_keeps_missing_apart(reference: np.ndarray, current: np.ndarray, bins: int) -> None:
    left, right = merged(reference, current, bins)

    assert (left.sum(), right.sum()) == (reference.sum(), current.sum())
    assert len(left) == len(right) <= bins + 1
    assert ((left + right) > 0).all()
    if reference[-1] or current[-1]:
        assert (left[-1], right[-1]) == (reference[-1], current[-1])


def test_merged_bins_have_equal_mass_in_the_reference() -> None:
    reference = np.array([0, *[10] * 200, 0, 0])

    left, _ = merged(reference, reference)

    assert left.tolist() == [100] * 20


def test_merging_keeps_what_lies_outside_a_constant_column_apart() -> None:
    reference, current = np.array([0, 50, 0, 0]), np.array([0, 0, 50, 0])

    left, right = merged(reference, current)

    assert (left.tolist(), right.tolist()) == ([50, 0], [0, 50])


def test_nothing_merges_to_nothing() -> None:
    left, right = merged(np.zeros(5, dtype=np.int64), np.zeros(5, dtype=np.int64))

    assert (len(left), len(right)) == (0, 0)
