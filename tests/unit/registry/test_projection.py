import pytest

from treadle.registry.projection import CHALLENGER, CHAMPION, archived, overridden, wanted
from treadle.state.deployments import Deployment, Slot


def deployed(
    generation: int, champion: int, *, canary: int | None = None, arm: int | None = None, fallback: int | None = None
) -> Deployment:
    slots = [Slot("champion", champion, f"d{champion}", 1.0)]
    slots += [Slot("arm", arm, f"d{arm}", 0.1)] if arm else []
    slots += [Slot("canary", canary, f"d{canary}", 0.1)] if canary else []
    slots += [Slot("fallback", fallback, f"d{fallback}", 0.0)] if fallback else []
    return Deployment("iris", generation, tuple(slots), "because", None, "treadle", 0.0)


HISTORY = [deployed(1, 1), deployed(2, 1, canary=2), deployed(3, 2, fallback=1)]


def test_the_champion_and_the_canary_have_an_alias() -> None:
    assert wanted(deployed(1, 4)) == {CHAMPION: 4, CHALLENGER: None}
    assert wanted(deployed(1, 4, canary=5, fallback=3)) == {CHAMPION: 4, CHALLENGER: 5}


def test_a_canary_comes_before_an_arm() -> None:
    assert wanted(deployed(1, 4, arm=6)) == {CHAMPION: 4, CHALLENGER: 6}
    assert wanted(deployed(1, 4, arm=6, canary=5)) == {CHAMPION: 4, CHALLENGER: 5}


def test_a_version_is_archived_once_it_has_lost_its_last_role() -> None:
    assert archived(HISTORY) == frozenset()
    assert archived([*HISTORY, deployed(4, 3, fallback=2)]) == {1}
    assert archived([*HISTORY, deployed(4, 3, fallback=2), deployed(5, 1, fallback=3)]) == {2}


@pytest.mark.parametrize(
    ("found", "projected", "moved"),
    [
        pytest.param({CHAMPION: 2}, 3, (), id="as projected"),
        pytest.param({CHAMPION: 1}, 3, (CHAMPION,), id="moved"),
        pytest.param({}, 3, (CHAMPION,), id="removed"),
        pytest.param({CHAMPION: 2, CHALLENGER: 9}, 3, (CHALLENGER,), id="set where none belongs"),
        pytest.param({CHAMPION: 7, CHALLENGER: 9}, 3, (CHAMPION, CHALLENGER), id="both"),
        pytest.param({CHAMPION: 1}, 1, (), id="lags two generations behind"),
        pytest.param({CHAMPION: 1, CHALLENGER: 2}, 2, (), id="lags one generation behind"),
        pytest.param({CHAMPION: 1, CHALLENGER: 2}, 1, (), id="projected, but not yet noted"),
        pytest.param({CHAMPION: 2, CHALLENGER: 2}, 2, (), id="half projected"),
        pytest.param({CHAMPION: 9}, 1, (CHAMPION,), id="moved while it lagged behind"),
        pytest.param({CHAMPION: 2}, 99, (), id="the note is from the future"),
        pytest.param({CHAMPION: 9}, None, (), id="nothing was projected yet"),
        pytest.param({CHAMPION: 2, "mine": 1}, 3, (), id="another alias is nobody's business"),
    ],
)
def test_only_an_alias_that_no_generation_explains_was_moved_by_hand(
    found: dict[str, int], projected: int | None, moved: tuple[str, ...]
) -> None:
    assert overridden(found, HISTORY, projected) == moved
