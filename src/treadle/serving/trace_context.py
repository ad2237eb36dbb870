"""W3C Trace Context: what a request says of the trace that it belongs to. Pure: headers in, their meaning out."""

import re
from collections.abc import Iterable
from typing import NamedTuple

TRACEPARENT, TRACESTATE = b"traceparent", b"tracestate"

MOST_MEMBERS = 32

_PARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]([0-9a-f])(?:-.*)?",
    re.DOTALL,
)
_LENGTH = 55
"""Of a ``traceparent`` of version 00, which says no more; a version that is yet to come may."""
_ODD = b"13579bdf"
_MEMBER = re.compile(r"([a-z0-9][a-z0-9_\-*/@]{0,255})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])")


class Parent(NamedTuple):
    """The span of the caller: ids in lower-case hex, whether it is recorded, and the ``tracestate``, "" for none."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""


def parent(headers: Iterable[tuple[bytes, bytes]]) -> Parent | None:
    """Return the caller's span; None where it names none, two, or one that is not valid: then a new trace begins."""
    given, more = None, False
    for name, value in headers:
        if name == TRACEPARENT:
            if given is not None:
                return None
            given = value
        elif name == TRACESTATE:
            more = True
    found = _PARENT.fullmatch(given) if given is not None else None
    if given is None or found is None or (len(given) > _LENGTH and given.startswith(b"00")):
        return None
    trace_id, span_id, flags = found.groups()
    return Parent(trace_id.decode(), span_id.decode(), flags in _ODD, _state(headers) if more else "")


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
