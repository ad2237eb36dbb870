"""The token bucket, against a bucket of exact fractions and against what a limit promises."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.identity.keys import HIGHEST_RATE
from treadle.identity.rate import SLACK, Limit, take

RATES = st.one_of(st.integers(1, 1000).map(float), st.floats(0.01, HIGHEST_RATE))
BURSTS = st.integers(1, 200)
PAUSES = st.lists(st.one_of(st.just(0.0), st.floats(0, 0.01), st.floats(0, 100)), min_size=1, max_size=150)
BEGINNINGS = st.floats(0, 1e6)


class Exact:
    """The bucket as the books draw it: tokens that come with time and go with requests, in fractions."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self.rate, self.burst = Fraction(rate), burst
        self.tokens, self.at = Fraction(burst), Fraction(now)

    def refill(self, now: float) -> None:
        self.tokens = min(self.tokens + (Fraction(now) - self.at) * self.rate, Fraction(self.burst))
        self.at = Fraction(now)


@given(RATES, BURSTS, PAUSES, BEGINNINGS)
def test_it_lets_through_what_the_exact_bucket_does(rate: float, burst: int, pauses: list[float], beginning: float) -> None:
    limit, now, full_at = Limit(rate, burst), beginning, 0.0
    exact = Exact(rate, burst, now)
    for pause in pauses:
        now += pause
        exact.refill(now)
        full_at, wait = take(full_at, now, limit)
        # Where the exact bucket is within the slack of a whole token, and within what a float of this size can say, both are right.
        doubt = Fraction(SLACK) + Fraction(rate) * Fraction(len(pauses) * 2e-9)
        if exact.tokens >= 1 + doubt:
            assert wait == 0
        elif exact.tokens < 1 - doubt:
            assert wait > 0
            assert abs(Fraction(wait) * Fraction(rate) - (1 - exact.tokens)) <= doubt
        if not wait:
            exact.tokens -= 1


@given(RATES, BURSTS, PAUSES)
def test_no_stretch_of_time_holds_more_than_the_burst_and_its_share(rate: float, burst: int, pauses: list[float]) -> None:
    limit, now, full_at = Limit(rate, burst), 0.0, 0.0
    went = []
    for pause in pauses:
        now += pause
        full_at, wait = take(full_at, now, limit)
        if not wait:
            went.append(now)
    for first, begin in enumerate(went):
        for last in range(first, len(went)):
            assert last - first + 1 <= burst + rate * (went[last] - begin) + 2 * SLACK + rate * 1e-9


@given(RATES, BURSTS, st.integers(1, 300))
def test_one_who_keeps_to_the_rate_is_never_refused(rate: float, burst: int, count: int) -> None:
    limit, full_at = Limit(rate, burst), 0.0
    for number in range(count):
        full_at, wait = take(full_at, number / rate, limit)
        assert wait == 0


@given(RATES, BURSTS, PAUSES)
def test_a_refused_request_takes_nothing_and_may_go_after_its_wait(rate: float, burst: int, pauses: list[float]) -> None:
    limit, now, full_at = Limit(rate, burst), 0.0, 0.0
    for pause in pauses:
        now += pause
        after, wait = take(full_at, now, limit)
        if wait:
            assert after == full_at
            assert 0 < wait <= 1 / rate * (1 + 1e-9) + 1e-9
            assert take(full_at, now + wait * (1 + 1e-9) + 1e-9, limit)[1] == 0
        full_at = after


@given(RATES, BURSTS, st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e6))
def test_whatever_stands_in_the_memory_nobody_waits_for_longer_than_one_token_takes(
    rate: float, burst: int, found: float, now: float
) -> None:
    full_at, wait = take(found, now, Limit(rate, burst))
    assert wait <= 1 / rate * (1 + 1e-6) + 1e-6
    assert full_at <= now + (burst + 1) / rate + 1e-6


@pytest.mark.parametrize(("burst", "went"), [(1, 1), (3, 3), (10, 10)])
def test_a_full_bucket_holds_its_burst(burst: int, went: int) -> None:
    limit, full_at, waits = Limit(2.0, burst), 0.0, []
    for _ in range(burst + 2):
        full_at, wait = take(full_at, 1000.1, limit)
        waits.append(wait)
    assert waits[:went] == [0.0] * went
    assert waits[went:] == [pytest.approx(0.5), pytest.approx(0.5)]
