"""What is odd about whole rows: they repeat each other, contradict each other, say nobody's name, or are all too old."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from treadle.data.validation.findings import WHOLE_ROWS, Finding
from treadle.data.validation.table import Table, named, times
from treadle.spec import Contract

Keys = NDArray[np.uint64]

_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def repeats(contract: Contract, table: Table) -> Iterator[Finding]:
    """Find rows that repeat or contradict others, and rows about nobody."""
    yield from _duplicates(contract, table)
    yield from _contradictions(contract, table)
    name, check = contract.interface.entity, contract.policy.data.entity
    if name is not None and name in table and check.severity != "off":
        found = np.flatnonzero(table.missing(name))
        if len(found) > check.limit * table.rows:
            yield table.made("entity", check.severity, name, found, f"{len(found)} of {table.rows} rows have no {name} ({named(found)})")


def freshness(contract: Contract, table: Table, now: float) -> Iterator[Finding]:
    """Hold the newest row against the clock; ``now`` in epoch seconds."""
    check, name = contract.policy.data.freshness, contract.interface.time
    if check.limit is None or check.severity == "off" or name is None or name not in table:
        return
    moments = times(table.frame[name])
    if np.isnan(moments).all():
        yield Finding(
            "freshness", check.severity, name, f"{name}: no value can be read as a date or time, so nobody knows how old the rows are"
        )
        return
    newest = float(np.nanmax(moments)) / 1e6
    if now - newest > check.limit:
        said = str(np.datetime64(int(newest), "s").astype("datetime64[m]")).replace("T", " ")
        message = f"{name}: the newest row is from {said}, {in_words(now - newest)} ago; at most {in_words(check.limit)} is allowed"
        yield Finding("freshness", check.severity, name, message, count=table.rows, share=1.0)


def keys(table: Table, columns: Iterable[str]) -> Keys:
    """Return a number for each row that is the same for rows with equal values in these columns, and differs for others."""
    mixed = np.zeros(table.rows, dtype=np.uint64)
    for column in columns:
        # splitmix64, so that a chance collision among millions of rows is out of question.
        mixed = (mixed + (table.codes(column)[0] + 2).astype(np.uint64)) * _ODD[0]
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _ODD[1]
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _ODD[2]
        mixed ^= mixed >> np.uint64(31)
    return mixed


def _duplicates(contract: Contract, table: Table) -> Iterator[Finding]:
    check = contract.policy.data.duplicates
    if check.severity == "off":
        return
    found = np.flatnonzero(pd.Series(keys(table, table.frame.columns)).duplicated().to_numpy())
    if len(found) and len(found) > check.limit * table.rows:
        message = f"{len(found)} of {table.rows} rows repeat an earlier row ({named(found)})"
        yield table.made("duplicates", check.severity, WHOLE_ROWS, found, message)


def _contradictions(contract: Contract, table: Table) -> Iterator[Finding]:
    check, target = contract.policy.data.contradictions, contract.interface.target.name
    if check.severity == "off" or target not in table or table.features != contract.interface.feature_names:
        return  # without all features rows look equal that are not
    alike = pd.factorize(keys(table, table.features))[0]
    codes, _ = table.codes(target)
    first = np.full(alike.max(initial=-1) + 1, -1, dtype=np.int64)
    labelled = np.flatnonzero(codes >= 0)
    first[alike[labelled][::-1]] = codes[labelled][::-1]  # the first row of each group is written last
    odd = np.zeros(len(first), dtype=bool)
    odd[alike[labelled][codes[labelled] != first[alike[labelled]]]] = True
    found = np.flatnonzero(odd[alike] & (codes >= 0))
    if len(found) > check.limit * table.rows:
        message = f"{len(found)} of {table.rows} rows equal another one in every feature and differ from it in {target} ({named(found)})"
        yield table.made("contradictions", check.severity, WHOLE_ROWS, found, message)


def in_words(seconds: float) -> str:
    """Return a length of time in the largest unit that fits."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} seconds"
