"""W3C Trace Context: what a request says of the trace that it belongs to. Pure: headers in, their meaning out."""

import re
from collections.abc import Iterable
from typing import NamedTuple

TRACEPARENT, TRACESTATE = b"traceparent", b"tracestate"

MOST_MEMBERS = 32

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16
_MEMBER = re.compile(r"([a-z0-9][a-z0-9_\-*/@]{0,255})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])")


class Parent(NamedTuple):
    """The span of the caller: ids in lower-case hex, whether it is recorded, and the ``tracestate``, "" for none."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""


def parent(headers: Iterable[tuple[bytes, bytes]]) -> Parent | None:
    """Return the caller's span; None where it names none, two, or one that is not valid: then a new trace begins."""
    given = [value for name, value in headers if name == TRACEPARENT]
    if len(given) != 1:
        return None
    found = _PARENT.fullmatch(given[0])
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    # A version that is yet to come may say more behind what is known; 00 says no more, and ff is none.
    if version == b"ff" or (version == b"00" and more) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return Parent(trace_id.decode(), span_id.decode(), bool(int(flags, 16) & 1), _state(headers))


def written(trace_id: str, span_id: str, *, sampled: bool) -> bytes:
    """Return a ``traceparent`` of version 00."""
    return f"00-{trace_id}-{span_id}-0{int(sampled)}".encode()


def _state(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the ``tracestate``, its headers as one; "" where a part of it is not valid, as a whole then."""
    text = ",".join(value.decode("latin-1") for name, value in headers if name == TRACESTATE)
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    keys = [found.group(1) for member in members if (found := _MEMBER.fullmatch(member))]
    valid = len(keys) == len(members) <= MOST_MEMBERS and len(set(keys)) == len(keys)
    return ",".join(members) if valid else ""
