import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from treadle.bundle import profile as profiles
from treadle.bundle.profile import CategoryColumn, NumericColumn, edges_of, merged
from treadle.monitoring import drift
from treadle.monitoring.drift import assess, chi_squared, jensen_shannon, kolmogorov_smirnov, stability_index
from treadle.spec import CategoryFeature, DriftPolicy, Interface, NumberFeature, Target

Floats = npt.NDArray[np.float32]

INTERFACE = Interface(
    task="binary",
    target=Target(name="left", classes=("no", "yes")),
    features=(
        *(NumberFeature(name=name, type="number") for name in ("normal", "skewed", "whole", "gappy")),
        CategoryFeature(name="plan", type="category", categories=("a", "b", "c", "d")),
        CategoryFeature(name="rare", type="category", categories=tuple("abcdefghijkl")),
    ),
)
POLICY = DriftPolicy(min_rows=400)


def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """Return n rows and scores of a world that does not change."""
    gappy = rng.uniform(size=n)
    gappy[rng.uniform(size=n) < 0.2] = np.nan
    chance = rng.beta(2, 5, n)
    columns = [
        rng.normal(size=n),
        rng.lognormal(sigma=2, size=n),
        rng.integers(0, 73, n),
        gappy,
        rng.choice(4, n, p=[0.5, 0.3, 0.15, 0.05]),
        rng.choice(12, n, p=np.r_[0.9, np.full(11, 0.1 / 11)]),
    ]
    return np.stack(columns, axis=1).astype(np.float32), np.stack([1 - chance, chance], axis=1).astype(np.float32)


def numeric(reference: Floats, current: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the counts of both over the reference's own bins."""
    column = NumericColumn("x", edges_of(reference))
    return tuple(np.bincount(column.slot(values), minlength=column.slots) for values in (reference, current))  # type: ignore[return-value]


@pytest.mark.parametrize(("n", "m", "shift"), [(5000, 800, 0.0), (5000, 800, 0.3), (100_000, 20_000, 0.02), (1500, 400, 0.1)])
def test_ks_lies_within_the_resolution_of_the_bins_of_scipys(n: int, m: int, shift: float) -> None:
    rng = np.random.default_rng(n + m)
    reference, current = rng.normal(size=n).astype(np.float32), rng.normal(shift, 1, m).astype(np.float32)
    ours, p_value = kolmogorov_smirnov(*numeric(reference, current))
    theirs = stats.ks_2samp(reference, current, method="asymp")
    assert ours == pytest.approx(theirs.statistic, abs=1 / 254)
    assert ours <= theirs.statistic + 1e-12
    assert p_value == pytest.approx(stats.kstwo.sf(ours, round(n * m / (n + m))))


def test_ks_equals_scipys_where_each_value_has_its_bin() -> None:
    rng = np.random.default_rng(1)
    reference, current = rng.integers(0, 73, 3000).astype(np.float32), rng.integers(5, 80, 700).astype(np.float32)
    theirs = stats.ks_2samp(reference, current, method="asymp")
    # Values past the largest of the reference share a bin, in which the distribution of the reference is complete.
    assert kolmogorov_smirnov(*numeric(reference, current)) == pytest.approx((theirs.statistic, theirs.pvalue))


def test_ks_sees_that_more_is_missing() -> None:
    rng = np.random.default_rng(2)
    reference, current = rng.normal(size=3000).astype(np.float32), rng.normal(size=1000).astype(np.float32)
    current[:200] = np.nan
    ours, p_value = kolmogorov_smirnov(*numeric(reference, current))
    theirs = stats.ks_2samp(reference, np.where(np.isnan(current), -np.inf, current), method="asymp")
    assert ours == pytest.approx(theirs.statistic, abs=1 / 254)
    assert p_value < 1e-6


counts = st.integers(2, 12).flatmap(lambda k: st.tuples(*[st.lists(st.integers(0, 500), min_size=k, max_size=k)] * 2))


@given(counts)
def test_chi_squared_and_jensen_shannon_equal_scipys(both: tuple[list[int], list[int]]) -> None:
    reference, current = (np.array(one, dtype=np.int64) for one in both)
    seen = (reference + current) > 0
    if not reference.any() or not current.any():
        assert chi_squared(reference, current) == 1
        assert jensen_shannon(reference, current) == 0
        assert kolmogorov_smirnov(reference, current) == (0, 1)
        assert stability_index(reference, current) == 0
        return
    if seen.sum() > 1:
        expected = stats.chi2_contingency(np.stack([reference, current])[:, seen], correction=False).pvalue
        assert chi_squared(reference, current) == pytest.approx(expected)
    assert jensen_shannon(reference, current) == pytest.approx(distance.jensenshannon(reference, current, base=2), abs=1e-6)


def test_chi_squared_equals_scipys_on_raw_categories() -> None:
    rng = np.random.default_rng(3)
    reference, current = rng.choice(4, 4000), rng.choice(4, 600, p=[0.3, 0.25, 0.25, 0.2])
    column = CategoryColumn("plan", ("a", "b", "c", "d"))
    both = [np.bincount(column.slot(values.astype(np.float32)), minlength=column.slots) for values in (reference, current)]
    theirs = stats.chi2_contingency(
        stats.contingency.crosstab(np.r_[reference, current], np.r_[np.zeros(4000), np.ones(600)]).count, correction=False
    )
    assert chi_squared(*both) == pytest.approx(theirs.pvalue)


def test_the_stability_index_of_equal_worlds_lies_around_nothing_at_any_size() -> None:
    rng = np.random.default_rng(4)
    for n, m in [(5000, 400), (1500, 1000), (500, 500)]:
        index = []
        for _ in range(50):
            both = numeric(rng.normal(size=n).astype(np.float32), rng.normal(size=m).astype(np.float32))
            index.append(stability_index(*merged(*both)))
        assert np.mean(index) < 0.02
        assert max(index) < 0.1


def test_the_stability_index_of_a_known_shift_is_that_of_the_formula() -> None:
    reference, current = np.array([5000, 5000]), np.array([2000, 8000])
    assert stability_index(reference, current) == pytest.approx(0.3 * np.log(0.8 * 0.5 / (0.2 * 0.5)), abs=1e-3)


@pytest.mark.parametrize("reference_rows", [1500, 5600])
def test_a_world_that_does_not_change_never_alarms(reference_rows: int) -> None:
    windows = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        profile = profiles.build(INTERFACE, *draw(rng, reference_rows))
        for _ in range(10):
            current = profile.layout.count(*draw(rng, int(rng.integers(400, 1001))))
            report = assess(profile.layout, profile.counts, current, {}, POLICY)
            assert report.assessed
            assert not report.drifted, report.reasons
            assert report.score == 0
            windows += 1
    assert windows == 300


def report_of(
    change: dict[str, float], importances: dict[str, float], *, rows: int = 600, policy: DriftPolicy = POLICY
) -> drift.DriftReport:
    """Assess a window in which the named columns are moved by so much."""
    rng = np.random.default_rng(7)
    profile = profiles.build(INTERFACE, *draw(rng, 5000))
    matrix, scores = draw(rng, rows)
    for name, move in change.items():
        if name == "score":
            scores = np.stack([1 - scores[:, 1] ** move, scores[:, 1] ** move], axis=1)
        elif name == "plan":
            matrix[: int(rows * move), INTERFACE.feature_names.index(name)] = 3
        else:
            matrix[:, INTERFACE.feature_names.index(name)] += np.float32(move)
    return assess(profile.layout, profile.counts, profile.layout.count(matrix, scores), importances, policy)


def test_the_score_is_the_importance_weighted_share_of_drifted_features() -> None:
    importances = {"normal": 3.0, "whole": 1.0, "skewed": 1.0, "gappy": -4.0}
    report = report_of({"normal": 0.7}, importances)
    assert report.score == pytest.approx(0.6)
    assert [one.name for one in report.features if one.drifted] == ["normal"]
    assert report.inputs_drifted
    assert not report.prediction_drifted
    assert "1 of 6 features have drifted (normal)" in report.reasons[0]
    assert "0.60, above 0.3" in report.reasons[0]
    assert report_of({"normal": 0.7}, {"whole": 1.0}).score == 0


def test_without_importances_all_features_weigh_the_same() -> None:
    assert report_of({"normal": 0.7, "plan": 0.4}, {}).score == pytest.approx(2 / 6)
    assert report_of({"normal": 0.7, "plan": 0.4}, {"normal": 0.0}).score == pytest.approx(2 / 6)


def test_one_severe_feature_alarms_by_itself() -> None:
    report = report_of({"plan": 0.8}, {"normal": 1.0})
    assert report.score == 0
    assert report.inputs_drifted
    assert report.drifted
    assert "plan alone alarms" in report.reasons[1]


def test_the_predictions_alarm_by_themselves() -> None:
    report = report_of({"score": 0.5}, {"normal": 1.0})
    assert report.prediction_drifted
    assert not report.inputs_drifted
    assert any("The model's score has drifted" in reason for reason in report.prediction_reasons)


def test_a_small_effect_is_no_drift_however_significant() -> None:
    report = report_of({"normal": 0.15}, {}, rows=50_000)
    normal = report.features[0]
    assert normal.p_value < 1e-20
    assert 0 < normal.psi < 0.2
    assert not report.drifted


def test_a_large_effect_that_chance_may_explain_is_no_drift() -> None:
    report = report_of({"normal": 0.7}, {}, rows=60, policy=DriftPolicy(min_rows=10, alpha=1e-12))
    assert report.features[0].psi > 0.2
    assert not report.features[0].drifted


def test_a_short_window_is_not_assessed() -> None:
    report = report_of({"normal": 9.0}, {}, rows=399)
    assert (report.rows, report.assessed, report.drifted, report.features) == (399, False, False, ())
    assert report.reasons == ("399 rows are too few to judge: drift.min_rows is 400.",)


def test_many_drifted_features_are_listed_short() -> None:
    report = report_of({"normal": 2, "skewed": 99, "whole": 30, "gappy": 1, "plan": 0.8, "rare": 5}, {})
    assert "6 of 6 features have drifted" in report.reasons[0]
    assert "and 1 more" in report.reasons[0]
    assert report.score == 1
