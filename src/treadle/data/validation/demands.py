"""What the contract demands of each column: that it is there, of its type, in its range, among its categories."""

from collections.abc import Iterator, Sequence

import numpy as np

from treadle.data.validation import edits
from treadle.data.validation.findings import Finding
from treadle.data.validation.table import Flags, Numbers, Table, shown
from treadle.engine.columns import FLOAT32_MAX
from treadle.spec import (
    FLOAT32_WHOLE,
    BooleanFeature,
    CategoryFeature,
    Contract,
    DataPolicy,
    DateFeature,
    Feature,
    Interface,
    NumberFeature,
)

LISTED = 50
"""Most new categories that an edit lists: more are no categories."""


def demands(contract: Contract, table: Table) -> Iterator[Finding]:
    """Hold each column against the contract."""
    interface, policy = contract.interface, contract.policy.data
    for feature in interface.features:
        if feature.name in table:
            yield from _of_missing(feature, table, policy)
            yield from _of_feature(feature, table, policy)
    for name in (interface.target.name, interface.time):
        if name is not None and name in table:
            yield from table.finding("missing", "error", name, table.missing(name), "missing")
    if interface.target.name in table:
        found = list(_of_target(interface, table))
        yield from found or _of_variety(interface, table)


def _of_missing(feature: Feature, table: Table, policy: DataPolicy) -> list[Finding]:
    missing = table.missing(feature.name)
    if feature.required:
        return table.finding("missing", "error", feature.name, missing, "missing")
    check = policy.missing
    return table.finding(
        "mostly missing", check.severity, feature.name, missing, f"missing, more than {check.limit:.0%}", limit=check.limit
    )


def _of_feature(feature: Feature, table: Table, policy: DataPolicy) -> Iterator[Finding]:
    if isinstance(feature, CategoryFeature):
        yield from _of_categories(feature, table, policy)
    elif isinstance(feature, BooleanFeature):
        yield from table.finding("type", "error", feature.name, ~table.truths(feature.name), "neither true nor false")
    else:
        yield from _of_numbers(feature, table, policy)


def _of_categories(feature: CategoryFeature, table: Table, policy: DataPolicy) -> list[Finding]:
    strange = _strange(table, feature.name, feature.categories)
    if not strange.any():
        return []
    values = table.frame[feature.name].to_numpy(dtype=object)[strange]
    fresh = sorted({value for value in values.tolist() if isinstance(value, str)})
    edit = edits.with_categories(feature, fresh) if 0 < len(fresh) <= LISTED else ""
    check = policy.categories
    phrase = f"not among {', '.join(feature.categories)}"
    return table.finding("category", check.severity, feature.name, strange, phrase, limit=check.limit, edit=edit)


def _strange(table: Table, name: str, allowed: Sequence[str]) -> Flags:
    """Return which values are there but not among the allowed texts."""
    return (table.among(name, allowed) < 0) & ~table.missing(name)


def _of_numbers(feature: NumberFeature | DateFeature, table: Table, policy: DataPolicy) -> Iterator[Finding]:
    name, values = feature.name, table.numbers(feature.name)
    sound = np.abs(values) <= FLOAT32_MAX
    unsound = ~sound & ~table.missing(name)
    kind = "dates" if isinstance(feature, DateFeature) else "numbers"
    what = "not finite float32 numbers" if np.isinf(values).any() or (np.abs(values) > FLOAT32_MAX).any() else f"no {kind}"
    yield from table.finding("type", "error", name, unsound, what)
    if feature.type == "integer":
        yield from table.finding("whole", "error", name, sound & (np.where(sound, values, 0.0) % 1 != 0), "not whole numbers")
        beyond = f"beyond {FLOAT32_WHOLE}, where float32 is not exact"
        yield from table.finding("float32", "error", name, sound & (np.abs(values) > FLOAT32_WHOLE), beyond)
    yield from _of_range(feature, values, sound, table, policy)


def _of_range(feature: NumberFeature | DateFeature, values: Numbers, sound: Flags, table: Table, policy: DataPolicy) -> Iterator[Finding]:
    check = policy.range
    low, high = bounds(feature)
    for side, bound, outside in (("min", low, values < low), ("max", high, values > high)):
        flags = sound & outside
        if flags.any():
            farthest = float(values[flags].min() if side == "min" else values[flags].max())
            edit = edits.widened(feature, side, farthest)
            yield from table.finding(side, check.severity, feature.name, flags, _beyond(feature, side, bound), limit=check.limit, edit=edit)


def bounds(feature: NumberFeature | DateFeature) -> tuple[float, float]:
    """Return the smallest and largest allowed number, of a date in days after 1970-01-01."""
    if isinstance(feature, DateFeature):
        low, high = (None if day is None else float(np.datetime64(day, "D").astype(np.int64)) for day in (feature.min, feature.max))
    else:
        low, high = feature.min, feature.max
    return -np.inf if low is None else low, np.inf if high is None else high


def _beyond(feature: NumberFeature | DateFeature, side: str, bound: float) -> str:
    if isinstance(feature, DateFeature):
        return f"before the earliest allowed day {feature.min}" if side == "min" else f"after the latest allowed day {feature.max}"
    return f"below the smallest allowed value {bound:g}" if side == "min" else f"above the largest allowed value {bound:g}"


def _of_target(interface: Interface, table: Table) -> list[Finding]:
    name = interface.target.name
    if interface.task == "regression":
        sound = np.abs(table.numbers(name)) <= FLOAT32_MAX
        return table.finding("type", "error", name, ~sound & ~table.missing(name), "not finite float32 numbers")
    classes = interface.target.classes
    return table.finding("class", "error", name, _strange(table, name, classes), f"not among {', '.join(classes)}")


def _of_variety(interface: Interface, table: Table) -> Iterator[Finding]:
    """Check what one row alone cannot show: that there is something to tell apart."""
    name, nobody = interface.target.name, np.empty(0, dtype=np.int64)
    values = table.frame[name]
    if interface.task != "regression":
        for label in interface.target.classes:
            if not (values == label).any():
                yield table.made("classes", "error", name, nobody, f"{name}: no row has the class {label}")
    elif len(table.codes(name)[1]) == 1:
        yield Finding("constant", "error", name, f"{name}: every row has the value {shown(values.iloc[0])}", count=table.rows, share=1.0)
