"""Ids that nobody hands out: UUIDs of version 7, which sort by their time."""

import os

_DIGITS = 20
"""Random digits that an id takes from the kernel; it uses 74 of their 80 bits."""

_AT_ONCE = 400
"""Ids whose digits are fetched together: to ask the kernel each time would cost as much as all the rest."""

_pool: list[str] = []
os.register_at_fork(after_in_child=_pool.clear)  # parent and child must not give out the same ones


def uuid7(now: float) -> str:
    """Return a new UUID for the time ``now`` (epoch seconds): 48 bits of milliseconds, the rest random. Threads may call it."""
    try:
        random = _pool.pop()
    except IndexError:
        digits = os.urandom(_DIGITS // 2 * _AT_ONCE).hex()
        _pool.extend(digits[start : start + _DIGITS] for start in range(_DIGITS, len(digits), _DIGITS))
        random = digits[:_DIGITS]
    at = f"{int(now * 1000) & 0xFFFF_FFFF_FFFF:012x}"
    # The fourth group begins with the bits 10: its first digit is one of four.
    return f"{at[:8]}-{at[8:]}-7{random[:3]}-{'89ab'[int(random[3], 16) & 3]}{random[4:7]}-{random[7:19]}"
