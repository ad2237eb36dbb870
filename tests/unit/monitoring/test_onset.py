import numpy as np
import pytest

from tests.unit.monitoring.test_drift import INTERFACE as WIDE
from tests.unit.monitoring.test_drift import draw
from treadle.bundle import profile as profiles
from treadle.monitoring.onset import drift_onset, loss_onset


@pytest.mark.parametrize("changed_at", [0, 1, 5, 9])
@pytest.mark.parametrize("seed", range(5))
def test_the_first_changed_slice_is_found(changed_at: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    profile = profiles.build(WIDE, *draw(rng, 5000))
    slices = []
    for number in range(10):
        matrix, scores = draw(rng, 60)
        if number >= changed_at:
            matrix[:, 0] += 0.8
            matrix[:30, 4] = 3
        slices.append(profile.layout.count(matrix, scores))
    assert drift_onset(profile.layout, profile.counts, slices) == changed_at


def test_slices_without_rows_do_not_disturb() -> None:
    rng = np.random.default_rng(0)
    profile = profiles.build(WIDE, *draw(rng, 5000))
    calm = profile.layout.count(*draw(rng, 200))
    matrix, scores = draw(rng, 200)
    moved = profile.layout.count(matrix + np.float32(1), scores)
    empty = np.zeros_like(calm)
    assert drift_onset(profile.layout, profile.counts, [empty, calm, empty, moved, empty, moved]) == 3
    assert drift_onset(profile.layout, profile.counts, [empty, empty, moved, empty]) == 2
    assert drift_onset(profile.layout, profile.counts, [moved]) == 0


@pytest.mark.parametrize("seed", range(10))
def test_larger_losses_are_dated(seed: int) -> None:
    rng = np.random.default_rng(seed)
    losses = np.r_[rng.exponential(0.4, 300), rng.exponential(1.0, 250)]
    assert loss_onset(losses) == pytest.approx(300, abs=30)


def test_losses_that_do_not_change_have_no_onset_in_most_windows() -> None:
    rng = np.random.default_rng(1)
    dated = sum(loss_onset(rng.exponential(0.4, 500)) > 0 for _ in range(200))
    assert dated <= 20


def test_losses_that_become_smaller_have_no_onset() -> None:
    rng = np.random.default_rng(2)
    assert loss_onset(np.r_[rng.exponential(1.0, 300), rng.exponential(0.2, 300)]) == 0


@pytest.mark.parametrize("losses", [[], [1.0], [2.0] * 50])
def test_without_variation_there_is_no_onset(losses: list[float]) -> None:
    assert loss_onset(np.array(losses)) == 0


def test_a_clean_step_is_dated_exactly() -> None:
    assert loss_onset(np.r_[np.zeros(40), np.ones(60)]) == 40
