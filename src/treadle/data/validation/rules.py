"""Rules over several columns, applied to all rows at once.

A value that is missing is not known, as in SQL: what is compared with it is not known either, and only a row that surely breaks
a rule counts.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.validation.findings import SAMPLE, Finding
from treadle.data.validation.table import DAY, Flags, Table, named, times
from treadle.spec import Contract, Rule
from treadle.spec.rules import COMPARISONS, Kind, Node, checked, columns_of, kinds_of

Values = NDArray[Any]

_ARITHMETIC: Mapping[str, Callable[[Values, Values], Values]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_COMPARED: Mapping[str, Callable[[Values, Values], Flags]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, eq=False)
class Known:
    """The value of a part of a rule in each row, and in which rows it is known."""

    values: Values
    known: Flags


class _Unusable(Exception):
    """A column does not hold what the contract says, so that the rule says nothing."""


def rules(contract: Contract, table: Table) -> Iterator[Finding]:
    """Find the rows that break a rule. A rule about a column that is not there is left to those who look for columns."""
    kinds = kinds_of(contract.interface)
    for rule in contract.policy.data.rules:
        columns = columns_of(rule.node)
        if rule.severity == "off" or not all(name in table for name in columns):
            continue
        try:
            with np.errstate(all="ignore"):  # 1 / 0 is no number, and so not known
                told = evaluate(checked(rule.node, kinds), table, kinds)
        except _Unusable as error:
            yield Finding("rule unusable", rule.severity, ", ".join(columns), f"{rule.rule}: {error}")
            continue
        found = np.flatnonzero(told.known & ~told.values.astype(bool))
        if len(found):
            yield _broken(rule, columns, found, table)


def evaluate(node: Node, table: Table, kinds: Mapping[str, Kind]) -> Known:
    """Return what a (checked) rule gives for each row."""
    if not node.parts:
        return _column(str(node.value), table, kinds) if node.op == "column" else _same(node.value, table.rows)
    parts = [evaluate(part, table, kinds) for part in node.parts]
    match node.op:
        case "is null":
            return Known(~parts[0].known, np.ones(table.rows, dtype=bool))
        case "not":
            return _negated(parts[0])
        case "and":
            return _all(parts)
        case "or":
            return _negated(_all([_negated(part) for part in parts]))
    return _among(parts) if node.op == "in" else _calculated(node.op, parts)


def _calculated(op: str, parts: list[Known]) -> Known:
    if op in {"negative", "abs"}:
        values = -parts[0].values if op == "negative" else np.abs(parts[0].values)
        return Known(values, parts[0].known)
    one, other = parts
    both = one.known & other.known
    if op in COMPARISONS:
        return Known(np.asarray(_COMPARED[op](one.values, other.values), dtype=bool), both)
    values = _ARITHMETIC[op](one.values, other.values)
    return Known(values, both & np.isfinite(values))


def _negated(part: Known) -> Known:
    return Known(~part.values.astype(bool), part.known)


def _all(parts: list[Known]) -> Known:
    """Return 'and': one part that is surely false decides, whatever is not known."""
    false = np.logical_or.reduce([part.known & ~part.values.astype(bool) for part in parts])
    known = np.logical_and.reduce([part.known for part in parts])
    return Known(known & ~false, known | false)


def _among(parts: list[Known]) -> Known:
    first = parts[0]
    found = np.logical_or.reduce([np.asarray(first.values == part.values, dtype=bool) for part in parts[1:]])
    return Known(found, first.known)


def _same(value: object, rows: int) -> Known:
    """Return one value for all rows."""
    if isinstance(value, date):
        value = float(np.datetime64(value, "D").astype(np.int64))
    return Known(np.full(rows, value, dtype=object if isinstance(value, str) else None), np.ones(rows, dtype=bool))


def _column(name: str, table: Table, kinds: Mapping[str, Kind]) -> Known:
    known, column = ~table.missing(name), table.frame[name]
    match kinds[name]:
        case "number":
            values = table.numbers(name)
            return Known(values, np.isfinite(values))
        case "day":
            moments = times(column) / DAY
            if known.any() and np.isnan(moments).all():
                message = f"{name} holds no dates"
                raise _Unusable(message)
            # Of a day the clock is cut off; of a time it is a part of the day.
            return Known(np.floor(moments) if table.is_day(name) else moments, np.isfinite(moments))
        case "truth":
            truths = (column == True).to_numpy(dtype=bool, na_value=False)  # noqa: E712 - of a column
            return Known(truths, known & table.truths(name))
    codes, different = table.codes(name)
    texts = np.array([*map(str, different), ""], dtype=object)  # a key may be a number in the data
    return Known(texts[codes], known)


def _broken(rule: Rule, columns: tuple[str, ...], found: NDArray[np.int64], table: Table) -> Finding:
    values = tuple(", ".join(f"{name} {table.shown(name, row)}" for name in columns) for row in found[:SAMPLE])
    because = f" {rule.reason}" if rule.reason else ""
    message = f"{rule.rule}: {len(found)} of {table.rows} rows break this rule, such as {values[0]} ({named(found)}).{because}"
    return table.made("rule", rule.severity, ", ".join(columns), found, message, values=values)
