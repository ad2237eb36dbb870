import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.serving.trace_context import MOST_MEMBERS, TRACEPARENT, TRACESTATE, Parent, parent, written

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01".encode()


def hexes(length: int) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=length, max_size=length).filter(lambda text: set(text) != {"0"})


@given(trace_id=hexes(32), span_id=hexes(16), sampled=st.booleans())
def test_what_is_written_is_read(trace_id: str, span_id: str, *, sampled: bool) -> None:
    assert parent([(TRACEPARENT, written(trace_id, span_id, sampled=sampled))]) == Parent(trace_id, span_id, sampled)


@given(hexes(32), hexes(16), st.integers(0, 255))
def test_the_lowest_bit_of_the_flags_says_whether_it_is_sampled(trace_id: str, span_id: str, flags: int) -> None:
    found = parent([(TRACEPARENT, f"00-{trace_id}-{span_id}-{flags:02x}".encode())])

    assert found is not None
    assert found.sampled is bool(flags % 2)


@given(st.binary(max_size=80))
def test_whatever_comes_it_is_a_parent_or_none(value: bytes) -> None:
    found = parent([(TRACEPARENT, value)])

    assert found is None or value.startswith(f"{value[:2].decode()}-{found.trace_id}-{found.span_id}-".encode())


@given(st.integers(0, len(GOOD) - 1), st.sampled_from(string.printable.encode()))
def test_one_wrong_byte_is_never_read_as_something_else(place: int, byte: int) -> None:
    changed = GOOD[:place] + bytes([byte]) + GOOD[place + 1 :]
    found = parent([(TRACEPARENT, changed)])

    assert found is None or (found.trace_id in changed.decode() and found.span_id in changed.decode())


@pytest.mark.parametrize(
    "value",
    [
        b"",
        GOOD[:-1],
        GOOD + b"0",
        GOOD + b"-more",
        GOOD.upper(),
        b"ff" + GOOD[2:],
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        b"01" + GOOD[2:] + b"x",
        GOOD.replace(b"-", b"_"),
    ],
)
def test_what_is_not_valid_is_no_parent(value: bytes) -> None:
    assert parent([(TRACEPARENT, value), (TRACESTATE, b"a=1")]) is None


def test_a_later_version_may_say_more() -> None:
    assert parent([(TRACEPARENT, b"cc" + GOOD[2:] + b"-what-is-to-come")]) == Parent(TRACE, SPAN, sampled=True)


def test_two_parents_are_none() -> None:
    assert parent([(TRACEPARENT, GOOD), (TRACEPARENT, GOOD)]) is None
    assert parent([(TRACESTATE, b"a=1")]) is None


def test_several_states_are_one() -> None:
    found = parent([(TRACEPARENT, GOOD), (TRACESTATE, b"rojo=00f067aa0ba902b7, ,"), (TRACESTATE, b" congo=t61rcWkgMzE")])

    assert found is not None
    assert found.state == "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


@pytest.mark.parametrize(
    "state",
    [b"a", b"A=1", b"a=", b"a=1,a=2", b"a=1\x01", b"a=\xff", b"a=" + b"x" * 257, b",".join(b"a%d=1" % n for n in range(MOST_MEMBERS + 1))],
)
def test_a_state_that_is_not_valid_is_dropped_and_the_parent_is_not(state: bytes) -> None:
    assert parent([(TRACEPARENT, GOOD), (TRACESTATE, state)]) == Parent(TRACE, SPAN, sampled=True)
