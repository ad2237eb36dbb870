"""How often a key may ask: a token bucket, as arithmetic on one number.

The bucket of a key holds up to ``burst`` tokens and gains ``rate`` of them a second; a request takes one. It is kept as the moment at which
it will be full again (the generic cell rate algorithm): one number says all, nothing counts down in the background, and processes that
share the number share the limit.
"""

SLACK = 1e-3
"""Share of one token that a bucket may hand out beyond its burst, once and not again and again."""


class Limit:
    """``rate`` requests per second in the long run, and ``burst`` at once; both are above 0, ``burst`` is a whole number."""

    __slots__ = ("burst", "rate", "terms")

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        gap = 1 / rate
        # The sum of many gaps is off by some bits: without the slack the last token of a burst would be lost to them.
        self.terms = gap, burst * gap, burst * gap + gap * SLACK


def take(full_at: float, now: float, limit: Limit) -> tuple[float, float]:
    """Take one token from a bucket that is full at ``full_at``; both moments are in seconds of one clock.

    Return the moment at which it is full again after that, and the seconds that the request has to wait: 0 if it may go. A refused
    request takes nothing. A moment that no request of this limit could have left, because the limit was wider before or the clock
    has begun anew, counts as an empty bucket.
    """
    gap, span, most = limit.terms
    start = now if full_at < now else full_at  # noqa: FURB136 -- max() would cost as much as all the rest
    if start > now + most:
        start = now + span
    after = start + gap
    return (after, 0.0) if after <= now + most else (start, after - now - span)
