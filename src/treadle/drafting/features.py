"""From a column to a feature of the contract: its type, its range or categories, an example, and why. Pure."""

from typing import Any

import pandas as pd
from pandas import Series

from treadle.drafting import names, ranges
from treadle.drafting.sights import Sight
from treadle.spec import FLOAT32_WHOLE, BooleanFeature, CategoryFeature, DateFeature, Feature, NumberFeature

PROSE = 40
"""Texts longer than this on average are prose, not categories."""
DIFFERENT = 0.5
"""Texts of which this share of the rows has another one are names or prose."""
KEPT = 0.5
"""Share of the rows that the categories kept must cover."""

LISTED = 5
"""So many categories are named in the reason."""

Made = tuple[Feature | None, str, str]
"""The feature (None: the column is left out), why, and the category that rare texts become ("": none)."""


def feature(sight: Sight) -> Made:
    """Return the feature that a column becomes."""
    if sight.kind == "boolean":
        return _boolean(sight)
    if sight.kind == "date":
        return _date(sight)
    if sight.kind == "number" and not (names.is_id(sight.raw) and sight.whole and sight.different <= ranges.FEW):
        return _number(sight)
    return _category(sight)


def _boolean(sight: Sight) -> Made:
    share = float(sight.cells.mean())
    said = ", ".join(f"{word} is {'true' if truth else 'false'}" for word, truth in sorted(sight.truths.items()))
    why = f"{said}; true in {share:.0%} of the rows" if said else f"true in {share:.0%} of the rows"
    made = BooleanFeature(name=sight.name, type="boolean", required=not sight.missing, example=share >= 0.5)
    return made, why + _gaps(sight), ""


def _date(sight: Sight) -> Made:
    known = sight.cells.dropna()
    low, high = known.min().date(), known.max().date()
    first, last = ranges.days(low, high)
    example = known.sort_values().iloc[len(known) // 2].date()
    made = DateFeature(name=sight.name, type="date", min=first, max=last, required=not sight.missing, example=example)
    return made, f"days from {low} to {high}; ten years more to either side are allowed" + _gaps(sight), ""


def _number(sight: Sight) -> Made:
    known = sight.cells.dropna()
    low, high = float(known.min()), float(known.max())
    whole = sight.whole and max(abs(low), abs(high)) <= FLOAT32_WHOLE
    first, last, reason = ranges.numbers(sight.raw, low, high, whole=whole)
    why = f"{'whole numbers' if whole else 'numbers'} from {low:g} to {high:g}; {_plain(first)} to {_plain(last)} is allowed ({reason})"
    if sight.whole and not whole:
        why += f"; past {FLOAT32_WHOLE:,} the last digits are lost in float32"
    if sight.stray:
        why += f"; {_stray(sight)} among them: missing"
    example = float(known.sort_values().iloc[len(known) // 2])
    made = NumberFeature(
        name=sight.name, type="integer" if whole else "number", min=first, max=last, required=not sight.missing, example=example
    )
    return made, why + _gaps(sight), ""


def _category(sight: Sight) -> Made:
    shown = _as_text(sight)
    known = shown.dropna()
    counts = {str(text): int(rows) for text, rows in known.value_counts().items()}
    if sight.different > ranges.FEW and sight.different > DIFFERENT * len(known):
        return None, f"almost every row has its own text ({sight.different:,} in {len(known):,} rows)", ""
    if known.str.len().mean() > PROSE and sight.different > ranges.FEW:
        return None, "it holds prose, which this draft cannot read", ""
    kept, other = ranges.categories(counts)
    if other and ranges.coverage(counts, kept) < KEPT:
        return None, f"{sight.different:,} different texts, none of them frequent", ""
    few = f": {', '.join(kept)}" if len(kept) <= LISTED and not other else ""
    why = f"{sight.different} different texts{few}"
    if other:
        covered = ranges.coverage(counts, kept)
        why += f"; the {len(kept) - 1} frequent ones, in {covered:.0%} of the rows, are kept, every other is {other!r}"
    made = CategoryFeature(
        name=sight.name,
        type="category",
        categories=tuple(kept),
        required=not sight.missing,
        example=max(kept, key=lambda text: counts.get(text, 0)),
    )
    return made, why + _gaps(sight), other


def _as_text(sight: Sight) -> "Series[Any]":
    if sight.kind == "number":  # ids of few things
        return sight.written.where(sight.cells.notna()) if sight.text else sight.cells.astype("Int64").astype("string")
    return sight.cells.astype(object).where(sight.cells.notna(), None).astype("string") if not sight.text else sight.cells


def _gaps(sight: Sight) -> str:
    return f"; missing in {sight.missing / len(sight.cells):.1%} of the rows" if sight.missing else ""


def _stray(sight: Sight) -> str:
    more = f" and {len(sight.stray) - 3} more" if len(sight.stray) > 3 else ""
    return f"{', '.join(map(repr, sight.stray[:3]))}{more}"


def _plain(value: float) -> str:
    return f"{value:.0f}" if value % 1 == 0 and not pd.isna(value) else f"{value:g}"
