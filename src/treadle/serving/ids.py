"""Ids that nobody hands out: UUIDs of version 7, which sort by their time."""

import os

import numpy as np

LENGTH = 36
"""Characters of an id."""

_TIME = 13
"""Characters of an id that tell its time; the rest is random, but for its version."""

_AT_ONCE = 400
"""Ids whose random ends are made together: to ask the kernel each time would cost as much as all the rest."""

_pool: list[str] = []
os.register_at_fork(after_in_child=_pool.clear)  # parent and child must not give out the same ones


def uuid7(now: float) -> str:
    """Return a new UUID for the time ``now`` (epoch seconds): 48 bits of milliseconds, the rest random. Threads may call it."""
    try:
        end = _pool.pop()
    except IndexError:
        end, *more = (made[_TIME:] for made in uuids7(0.0, _AT_ONCE))
        _pool.extend(more)
    at = f"{int(now * 1000) & 0xFFFF_FFFF_FFFF:012x}"
    return f"{at[:8]}-{at[8:]}{end}"


def uuids7(now: float, count: int) -> list[str]:
    """Return so many new UUIDs for the time ``now``, as ``uuid7`` makes one, all at once."""
    made = np.frombuffer(os.urandom(16 * count), dtype=np.uint8).reshape(count, 16).copy()
    made[:, :6] = np.frombuffer((int(now * 1000) & 0xFFFF_FFFF_FFFF).to_bytes(6, "big"), dtype=np.uint8)
    made[:, 6] = made[:, 6] & 0x0F | 0x70
    made[:, 8] = made[:, 8] & 0x3F | 0x80
    digits = np.frombuffer(made.tobytes().hex().encode(), dtype=np.uint8).reshape(count, 32)
    dashed = np.full((count, LENGTH), ord("-"), dtype=np.uint8)
    for start, stop, dashes in ((0, 8, 0), (8, 12, 1), (12, 16, 2), (16, 20, 3), (20, 32, 4)):
        dashed[:, start + dashes : stop + dashes] = digits[:, start:stop]
    text = dashed.tobytes().decode()
    return [text[start : start + LENGTH] for start in range(0, len(text), LENGTH)]
