"""Ids that nobody hands out: UUIDs of version 7, which sort by their time."""

import os

_BYTES = 10
"""Random bytes that an id takes from the kernel; it uses 74 of their 80 bits."""

_AT_ONCE = 400
"""Ids whose random ends are made together: to ask the kernel each time would cost as much as all the rest."""

_pool: list[str] = []
os.register_at_fork(after_in_child=_pool.clear)  # parent and child must not give out the same ones


def uuid7(now: float) -> str:
    """Return a new UUID for the time ``now`` (epoch seconds): 48 bits of milliseconds, the rest random. Threads may call it."""
    try:
        end = _pool.pop()
    except IndexError:
        end, *more = _ends(os.urandom(_BYTES * _AT_ONCE).hex())
        _pool.extend(more)
    at = f"{int(now * 1000) & 0xFFFF_FFFF_FFFF:012x}"
    return f"{at[:8]}-{at[8:]}{end}"


def _ends(digits: str) -> list[str]:
    """Return what follows the time in as many ids as there are random digits for."""
    starts = range(0, len(digits), 2 * _BYTES)
    # The fourth group begins with the bits 10: its first digit is one of four.
    return [f"-7{digits[i : i + 3]}-{'89ab'[int(digits[i + 3], 16) & 3]}{digits[i + 4 : i + 7]}-{digits[i + 7 : i + 19]}" for i in starts]
