"""Moments and durations as people read and write them. Moments are epoch seconds, and are told in local time."""

import re
import time
from datetime import datetime

UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_WRITTEN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")


def when(at: float) -> str:
    """Return a moment as a day and a time, such as 2031-05-01 12:00:00."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def span(seconds: float) -> str:
    """Return a duration in the largest unit that gives a whole number, such as 15m; ``seconds`` of it gives the same again."""
    for unit, size in UNITS.items():
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s" if seconds >= 1 or not seconds else f"{seconds * 1000:g}ms"


def seconds(text: str) -> float:
    """Return a duration such as 500ms, 4s, 15m, 2h or 30d in seconds.

    Raises:
        ValueError: it is none.
    """
    match = _WRITTEN.fullmatch(text)
    if not match:
        message = 'a duration is a number with a unit ms, s, m, h or d, such as "30d"'
        raise ValueError(message)
    return float(match[1]) * UNITS[match[2]]


def moment(text: str, now: float) -> float:
    """Return the moment that ``text`` names: how long before ``now``, as in "2h", or an ISO day or time, local by default.

    Raises:
        ValueError: it names none.
    """
    if _WRITTEN.fullmatch(text):
        return now - seconds(text)
    return datetime.fromisoformat(text.strip()).timestamp()
