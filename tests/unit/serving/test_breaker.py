"""The breaker: what it lets through, whatever comes in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from treadle.serving.breaker import Breaker

STEPS = st.lists(st.tuples(st.sampled_from(["answer", "fail", "abandon"]), st.floats(0, 100)), max_size=60)
THRESHOLD, RESET = 3, 60.0


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker()
    assert [breaker.failed(1.0, threshold=3) for _ in range(2)] == [False, False]
    breaker.succeeded()
    assert [breaker.failed(float(number), threshold=3) for number in range(3)] == [False, False, True]
    assert not breaker.admits(3.0, reset=60)
    assert breaker.rests(3.0, reset=60) == 59


def test_after_its_rest_one_call_decides() -> None:
    breaker = Breaker()
    breaker.failed(0.0, threshold=1)
    assert [breaker.admits(60.0, reset=60) for _ in range(3)] == [True, False, False]
    assert not breaker.failed(61.0, threshold=1)
    assert (breaker.admits(120.0, reset=60), breaker.rests(120.0, reset=60)) == (False, 1)
    assert breaker.admits(121.0, reset=60)
    assert breaker.succeeded()
    assert [breaker.admits(121.0, reset=60) for _ in range(3)] == [True] * 3
    assert breaker.calm


def test_a_probe_that_shows_nothing_leaves_room_for_another() -> None:
    breaker = Breaker()
    breaker.failed(0.0, threshold=1)
    assert breaker.admits(60.0, reset=60)
    breaker.abandoned()
    assert breaker.admits(60.0, reset=60)


@given(STEPS)
def test_it_is_open_exactly_while_the_rule_says_so(steps: list[tuple[str, float]]) -> None:
    """The rule, written down a second time: so many failures in a row open it, until a call after the rest is answered."""
    breaker, now = Breaker(), 0.0
    row, opened = 0, None
    for what, pause in steps:
        now += pause
        admitted = breaker.admits(now, reset=RESET)
        assert admitted == (opened is None or now >= opened + RESET)
        if not admitted:
            continue
        if what == "answer":
            assert breaker.succeeded() == (opened is not None)
            row, opened = 0, None
        elif what == "fail":
            row += 1
            opens = opened is None and row >= THRESHOLD
            assert breaker.failed(now, threshold=THRESHOLD) == opens
            opened = now if opens or opened is not None else None
        else:
            breaker.abandoned()
        assert breaker.calm == (row == 0)
