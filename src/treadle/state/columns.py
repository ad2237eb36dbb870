"""Many rows in one statement, handed to the database by column.

To hand SQLite row after row costs more than SQLite spends on them. So a column goes there as one value, its fields one after the other,
and SQLite takes it apart. A column that is the same in all rows goes there once.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

Columns = Mapping[str, Sequence[Any]]
"""The fields of each column in the order of the rows: in one column all texts, bytes, whole numbers, floats or truths, or null."""

_DIGITS = 12
_MARK = f"%0{_DIGITS}d" * 2
"""Where a field begins, and how long it is."""

_NULL = -1
"""The length of a field that is null."""

_NUMBER = 20
"""Digits of a whole number of 64 bits, with its sign."""

_BITS = 62
"""Bits of the largest float of a column as a whole number."""

_POWERS = 1000
"""Powers of a half that a float can have in full. To larger floats than 2**62 small ones would be as nothing."""


class _Packed(NamedTuple):
    """The SQL of the field at ``place``, and the parameters in it."""

    field: str
    parameters: dict[str, Any]


def insert_columns(conn: Connection, table: Table, columns: Columns) -> None:
    """Insert rows by column, one of them at least; one whose key is there already is skipped."""
    packed = _packed(columns) if conn.dialect.name == "sqlite" else None
    if packed is None:
        _insert_rows(conn, table, columns)
        return
    asked = {"_count": len(next(iter(columns.values())))}
    for found in packed.values():
        asked |= found.parameters
    names = ", ".join(map(conn.dialect.identifier_preparer.quote, packed))
    places = "WITH RECURSIVE each(place) AS (SELECT 0 UNION ALL SELECT place + 1 FROM each WHERE place + 1 < :_count)"
    # Only names of columns are in the text. Without a WHERE, SQLite would take ON CONFLICT for the condition of a join.
    rows = f"SELECT {', '.join(found.field for found in packed.values())} FROM each WHERE true"  # noqa: S608
    conn.exec_driver_sql(f"{places} INSERT INTO {table.name} ({names}) {rows} ON CONFLICT DO NOTHING", asked)


def _insert_rows(conn: Connection, table: Table, columns: Columns) -> None:
    """Hand the rows to the driver one by one: Core would spend more time on each row than the database does."""
    statement, order = _statement(conn.dialect, table, tuple(columns))
    if order is None:
        conn.exec_driver_sql(statement, [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])
    else:
        conn.exec_driver_sql(statement, list(zip(*(columns[name] for name in order), strict=True)))


@cache
def _statement(dialect: Dialect, table: Table, columns: tuple[str, ...]) -> tuple[str, tuple[str, ...] | None]:
    """Return the compiled insert, and the order of its parameters where they have no names."""
    whole = sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)
    compiled = whole.on_conflict_do_nothing().compile(dialect=dialect, column_keys=list(columns))
    return str(compiled), None if compiled.positiontup is None else tuple(compiled.positiontup)


def _packed(columns: Columns) -> dict[str, _Packed] | None:
    """Return what SQLite takes the fields of each column from; None where one of them cannot be written like that."""
    packed = {}
    for name, fields in columns.items():
        found = _column(name, fields)
        if found is None:
            return None
        packed[name] = found
    return packed


def _column(name: str, fields: Sequence[Any]) -> _Packed | None:
    first = fields[0]
    if fields.count(first) == len(fields):
        return _Packed(f":{name}", {name: first})
    known = [field for field in fields if field is not None]
    if isinstance(known[0], str | bytes):
        return _parts(name, fields, known)
    if len(known) < len(fields):
        return None
    return _floats(name, known) if isinstance(known[0], float) else _integers(name, known)


def _parts(name: str, fields: Sequence[Any], known: list[Any]) -> _Packed:
    whole, lengths, kind = _joined(known)
    if len(known) == len(fields) and lengths[0] and len(set(lengths)) == 1:
        field = f"CAST(substr(:{name}, 1 + :{name}_width * place, :{name}_width) AS {kind})"
        return _Packed(field, {name: whole, f"{name}_width": lengths[0]})
    if len(known) < len(fields):
        each = iter(lengths)
        lengths = [_NULL if field is None else next(each) for field in fields]
    begins = accumulate((max(length, 0) for length in lengths), initial=1)
    marks = "".join(map(_MARK.__mod__, zip(begins, lengths, strict=False))).encode()
    begin, length = (f"CAST(substr(:{name}_marks, {first} + {2 * _DIGITS} * place, {_DIGITS}) AS INTEGER)" for first in (1, 1 + _DIGITS))
    field = f"CAST(substr(:{name}, {begin}, {length}) AS {kind})"
    if len(known) < len(fields):
        field = f"CASE WHEN {length} > {_NULL} THEN {field} END"
    return _Packed(field, {name: whole or b".", f"{name}_marks": marks})  # a part of nothing would be null, and not empty


def _joined(fields: list[Any]) -> tuple[bytes, list[int], str]:
    """Return fields one after the other as bytes, the length of each, and their type."""
    if isinstance(fields[0], bytes):
        return b"".join(fields), list(map(len, fields)), "BLOB"
    text = "".join(fields)
    if not text.isascii():
        fields = [field.encode() for field in fields]
    return text.encode(), list(map(len, fields)), "TEXT"


def _integers(name: str, fields: list[int]) -> _Packed:
    digits = "".join(map(f"%0{_NUMBER}d".__mod__, fields)).encode()
    return _Packed(f"CAST(substr(:{name}, 1 + {_NUMBER} * place, {_NUMBER}) AS INTEGER)", {name: digits})


def _floats(name: str, fields: list[float]) -> _Packed | None:
    """Write floats as whole multiples of a power of two, which is exact: SQLite does not always read a decimal as Python does."""
    largest = max(map(abs, fields))
    exponent = _BITS - math.frexp(largest)[1]
    if not math.isfinite(largest) or not 0 <= exponent < _POWERS:
        return None
    multiples = [math.ldexp(field, exponent) for field in fields]
    if not all(map(float.is_integer, multiples)):
        return None
    whole = _integers(name, list(map(int, multiples)))
    return _Packed(f"{whole.field} * :{name}_unit", {**whole.parameters, f"{name}_unit": math.ldexp(1.0, -exponent)})
