"""Columns that the contract does not name, and columns of the contract that are gone, perhaps under another name."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from treadle.data.validation import edits
from treadle.data.validation.demands import bounds
from treadle.data.validation.findings import Finding
from treadle.data.validation.table import Numbers, Table, days, numbers_of
from treadle.spec import FLOAT32_WHOLE, BooleanFeature, CategoryFeature, Contract, DateFeature, Feature, Interface

ALIKE = 0.6
"""How similar the name of a renamed column must be, from 0 to 1."""

FITS = 0.95
"""Which share of its values must be allowed."""

FEW = 50
"""Most different texts that a new column may have to be taken for a category."""


def strangers(contract: Contract, table: Table) -> Iterator[Finding]:
    """Find columns that are new, gone, or called something else."""
    interface, check = contract.interface, contract.policy.data.columns
    wanted = [*interface.feature_names, interface.target.name, *filter(None, (interface.entity, interface.time))]
    extra = [str(name) for name in table.frame if name not in wanted]
    taken: set[str | None] = set()
    for name in wanted:
        if name not in table:
            likely = _likely(interface, name, table.frame, [one for one in extra if one not in taken])
            taken.add(likely)
            yield _gone(interface, name, likely)
    for name in extra:
        if check.severity != "off" and name not in {*check.ignore, *taken}:
            kind, edit = _as_feature(name, table.frame[name])
            message = f"{name}: the contract names no such column; it looks like {kind}"
            yield Finding("columns", check.severity, name, message, count=table.rows, share=1.0, edit=edit)


def named_twice(frame: DataFrame) -> list[Finding]:
    """Find columns that bear the same name: nothing can be said about either."""
    names = pd.Index(map(str, frame.columns))
    return [
        Finding("named twice", "error", str(name), f"{name}: two columns bear this name") for name in names[names.duplicated()].unique()
    ]


def _gone(interface: Interface, name: str, likely: str | None) -> Finding:
    message = f"{name}: there is no such column"
    if likely is None:
        return Finding("present", "error", name, message)
    old = next((feature for feature in interface.features if feature.name == name), None)
    return Finding("present", "error", name, f"{message}; {likely} looks like it", edit=edits.renamed(old, name, likely))


def _likely(interface: Interface, name: str, frame: DataFrame, candidates: list[str]) -> str | None:
    """Return the column that most likely is the missing one: called alike, and holding what is allowed."""
    feature = next((feature for feature in interface.features if feature.name == name), None)
    alike = {one: likeness(name, one) for one in candidates}
    fitting = [one for one, how in alike.items() if how >= ALIKE and _fit(interface, name, feature, frame[one]) >= FITS]
    return max(fitting, key=lambda one: alike[one], default=None)


def likeness(one: str, other: str) -> float:
    """Return how similar two names are, from 0 to 1; case and signs do not count, and a whole word in common counts much."""
    words = [[word for word in re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()) if word] for name in (one, other)]
    first, second = words
    if first and second and (set(first) <= set(second) or set(second) <= set(first)):
        return 0.9 if first != second else 1.0
    return SequenceMatcher(None, "".join(first), "".join(second)).ratio()


def _fit(interface: Interface, name: str, feature: Feature | None, column: "Series[Any]") -> float:
    """Return which share of the values the missing column could have held; of all of them, if it is not known what it held."""
    known = column.dropna()
    if known.empty:
        return 0.0
    if feature is None and name == interface.target.name:
        allowed = interface.target.classes
        return float(known.isin(allowed).mean() if allowed else np.isfinite(numbers_of(known)).mean())
    if isinstance(feature, CategoryFeature):
        return float(known.isin(feature.categories).mean())
    if isinstance(feature, BooleanFeature):
        return float(known.map(lambda value: isinstance(value, bool | np.bool_)).mean())
    if feature is None:
        return 1.0
    values = days(known) if isinstance(feature, DateFeature) else numbers_of(known)
    low, high = bounds(feature)
    return float(((values >= low) & (values <= high)).mean())


def _as_feature(name: str, column: "Series[Any]") -> tuple[str, str]:
    """Return what a new column looks like, and the feature that it would be; a text that is no category becomes none."""
    known = column.dropna()
    required = len(known) == len(column)
    kind = pd.api.types.infer_dtype(known, skipna=True)
    if known.empty:
        return "an empty column", ""
    if kind == "boolean":
        return "true and false", edits.added(name=name, type="boolean", required=required)
    if kind in {"datetime64", "datetime", "date"}:
        found = days(known).astype("datetime64[D]").astype(object)
        return "a date", edits.added(name=name, type="date", min=min(found), max=max(found), required=required)
    if kind in {"integer", "floating", "mixed-integer-float", "decimal"}:
        return _as_number(name, numbers_of(known), required=required)
    different: list[str] = sorted(set(known)) if kind == "string" else []
    if 0 < len(different) <= min(FEW, len(known) // 2):
        return "a category", edits.added(name=name, type="category", categories=different, required=required)
    return "free text or an id", ""


def _as_number(name: str, values: Numbers, *, required: bool) -> tuple[str, str]:
    sound = values[np.isfinite(values)]
    if not len(sound):
        return "no finite numbers", ""
    whole = bool((sound % 1 == 0).all()) and float(np.abs(sound).max()) <= FLOAT32_WHOLE
    low, high = edits.rounded(float(sound.min()), up=False), edits.rounded(float(sound.max()), up=True)
    feature = edits.added(name=name, type="integer" if whole else "number", min=low, max=high, required=required)
    return "whole numbers" if whole else "numbers", feature
