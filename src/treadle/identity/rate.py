"""How often a key may ask: a token bucket, as arithmetic on one number.

The bucket of a key holds up to ``burst`` tokens and gains ``rate`` of them a second; a request takes one. It is kept as the moment at which
it will be full again (the generic cell rate algorithm): one number says all, nothing counts down in the background, and processes that
share the number share the limit.
"""

from typing import NamedTuple

SLACK = 1e-3
"""Share of one token that a bucket may hand out beyond its burst, once and not again and again."""


class Limit(NamedTuple):
    """``rate`` requests per second in the long run, and ``burst`` at once; both are above 0, ``burst`` is a whole number."""

    rate: float
    burst: int


class Taken(NamedTuple):
    """The moment at which the bucket is full again, after a request, and the seconds that the request has to ``wait``: 0 if it may go."""

    full_at: float
    wait: float


def take(full_at: float, now: float, limit: Limit) -> Taken:
    """Take one token from a bucket that is full at ``full_at``; both moments are in seconds of one clock.

    A refused request takes nothing. A moment that no request of this limit could have left, because the limit was wider before or the
    clock has begun anew, counts as an empty bucket.
    """
    gap = 1 / limit.rate
    # The sum of many gaps is off by some bits: without the slack the last token of a burst would be lost to them.
    empty, slack = now + limit.burst * gap, gap * SLACK
    start = max(full_at, now)
    if start > empty + slack:
        start = empty
    after = start + gap
    return Taken(after, 0.0) if after <= empty + slack else Taken(start, after - empty)
