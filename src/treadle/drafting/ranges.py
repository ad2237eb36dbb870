"""What could come, from what has come: ranges and lists that a contract allows. Pure."""

import math
from collections.abc import Mapping, Sequence
from datetime import date

from treadle.drafting.names import words
from treadle.spec import FLOAT32_WHOLE

FEW = 20
"""So many different texts are all kept as categories, however rare; of more only the frequent ones."""
MOST = 100
"""Most categories that are kept."""
RARE_ROWS, RARE_SHARE = 5, 0.001
"""A text that stands in fewer rows, or in a smaller share of them, is rare."""
YEARS = 10
"""So many years before and after the days that were seen may come."""
OTHER = "other"
"""The category that rare texts become."""

_DEGREES = {"lat": 90, "latitude": 90, "lon": 180, "lng": 180, "long": 180, "longitude": 180}
_SHARES = {"share", "rate", "ratio", "probability", "prob", "fraction", "anteil", "quote"}
_PERCENTS = {"percent", "pct", "percentage", "prozent"}
_YEARS = {"year", "jahr", "baujahr", "yr"}

Range = tuple[float, float, str]
"""Smallest and largest value, and why those."""


def numbers(name: str, low: float, high: float, *, whole: bool) -> Range:
    """Return the range that requests may carry for numbers seen from ``low`` to ``high``."""
    known = _by_name(set(words(name)), low, high, whole=whole)
    if known is not None:
        return known
    if whole and (low, high) == (0, 1):
        return 0, 1, "a flag"
    reach = max(abs(low), abs(high))
    if low >= 0:
        widest = _round_up(2 * high) if high else 1.0
        smallest = 0.0
    else:
        widest = _round_up(2 * reach)
        smallest = -widest
    most = float(FLOAT32_WHOLE) if whole else math.inf
    return max(smallest, -most), min(widest, most), "twice as far, rounded up"


def days(low: date, high: date) -> tuple[date, date]:
    """Return the days that requests may carry for days seen from ``low`` to ``high``: whole years, ten more to either side."""
    return date(max(low.year - YEARS, date.min.year), 1, 1), date(min(high.year + YEARS, date.max.year), 12, 31)


def categories(counts: Mapping[str, int]) -> tuple[list[str], str]:
    """Return the texts to keep, in the order of the alphabet, and what the others become: "" where all are kept."""
    if len(counts) <= FEW:
        return sorted(counts), ""
    fewest = max(RARE_ROWS, RARE_SHARE * sum(counts.values()))
    frequent = [text for text, rows in counts.items() if rows >= fewest]
    kept = sorted(frequent, key=lambda text: (-counts[text], text))[:MOST]
    if len(kept) == len(counts):
        return sorted(kept), ""
    other = OTHER if OTHER not in counts else f"({OTHER})"
    return [*sorted(kept), other], other


def coverage(counts: Mapping[str, int], kept: Sequence[str]) -> float:
    """Return the share of rows whose text is kept."""
    return sum(counts.get(text, 0) for text in kept) / max(1, sum(counts.values()))


def _by_name(parts: set[str], low: float, high: float, *, whole: bool) -> Range | None:
    degrees = next((limit for word, limit in _DEGREES.items() if word in parts), None)
    if degrees is not None and -degrees <= low and high <= degrees:
        return -degrees, degrees, "degrees"
    if parts & _PERCENTS and low >= 0 and high <= 100:
        return 0, 100, "per cent"
    if parts & _SHARES and low >= 0 and high <= 1:
        return 0, 1, "a share"
    if whole and parts & _YEARS and low > 1000 and high < 2200:
        return 100 * (low // 100) - (100 if low % 100 < 50 else 0), 2100 if high < 2080 else 2200, "years"
    return None


def _round_up(value: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    nice = next(factor for factor in (1, 2, 5, 10) if factor * power >= value * (1 - 1e-9))
    return float(f"{nice * power:.12g}")
