"""Ids that nobody hands out: UUIDs of version 7, which sort by their time."""

import os


def uuid7(now: float) -> str:
    """Return a new UUID for the time ``now`` (epoch seconds): 48 bits of milliseconds, the rest random."""
    random = int.from_bytes(os.urandom(10), "big")
    value = (int(now * 1000) & (1 << 48) - 1) << 80 | 7 << 76 | (random >> 64 & 0xFFF) << 64 | 2 << 62 | random & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
