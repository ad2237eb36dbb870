from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.serving.routing import Table, choose, table
from treadle.state.deployments import Deployment, Slot, promoted, with_canary

CHAMPION = Slot("champion", 1, "a" * 64, 1.0)


def deployment(*slots: Slot) -> Deployment:
    return Deployment("churn", 1, slots, "a test", None, "treadle", 0.0)


def with_weight(weight: float) -> Table:
    return table(deployment(*with_canary(deployment(CHAMPION), 2, "b" * 64, weight)))


def test_without_a_canary_the_champion_answers_all() -> None:
    alone = table(deployment(CHAMPION, Slot("fallback", 7, "c" * 64, 0.0)))

    assert {choose(alone, str(key)) for key in range(50)} == {CHAMPION}
    assert alone.fallback == Slot("fallback", 7, "c" * 64, 0.0)


def test_a_deployment_without_a_champion_is_no_table() -> None:
    with pytest.raises(ValueError, match="generation 1 of churn has no champion"):
        table(deployment(Slot("canary", 2, "b" * 64, 1.0)))


@given(st.floats(0.02, 0.98), st.text(max_size=8))
def test_the_shares_follow_the_weights(weight: float, prefix: str) -> None:
    routed = with_weight(weight)

    count = sum(choose(routed, f"{prefix}{key}").role == "canary" for key in range(2000))

    # Six standard deviations: this fails for one honest hash in 500 million.
    assert abs(count - 2000 * weight) <= 6 * (2000 * weight * (1 - weight)) ** 0.5


def test_arms_share_by_their_weights() -> None:
    weights = {1: 0.5, 2: 0.2, 3: 0.3}
    routed = table(
        deployment(*(Slot("champion" if version == 1 else "arm", version, "a" * 64, weight) for version, weight in weights.items()))
    )

    counts = Counter(choose(routed, str(key)).version for key in range(5000))

    assert {version: counts[version] / 5000 for version in weights} == pytest.approx(weights, abs=0.03)


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.lists(st.text(), min_size=1, max_size=50))
def test_a_canary_that_grows_gives_no_key_back(one: float, other: float, keys: list[str]) -> None:
    small, large = with_weight(min(one, other)), with_weight(max(one, other))

    assert all(choose(large, key).role == "canary" for key in keys if choose(small, key).role == "canary")


def test_a_promoted_canary_keeps_its_keys_and_models_draw_apart() -> None:
    routed = with_weight(0.5)
    after = table(deployment(*promoted(deployment(*routed.slots), Slot("canary", 2, "b" * 64, 0.5))))
    other = Table("iris", 1, routed.slots, routed.weighted, routed.champion, None)
    keys = [str(key) for key in range(200)]

    assert all(choose(after, key).version == 2 for key in keys)
    assert [choose(routed, key) for key in keys] != [choose(other, key) for key in keys]
