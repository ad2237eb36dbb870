"""Many rows in one statement, handed to the database by column.

To hand SQLite row after row costs more than SQLite spends on them. So a column goes there as one value, its fields one after the other,
and SQLite takes it apart.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql

Column = Sequence[str | None] | Sequence[bytes | None]
"""The fields of a column, in the order of the rows."""

_DIGITS = 12
_MARK = f"%0{_DIGITS}d" * 2
"""Where a field begins, and how long it is."""

_NULL = -1
"""The length of a field that is null."""


def insert_columns(conn: Connection, table: Table, shared: Mapping[str, Any], columns: Mapping[str, Column]) -> None:
    """Insert rows that have the fields of ``columns``, as many in each, and are the same in ``shared``.

    A row whose key is there already is skipped.
    """
    if conn.dialect.name == "sqlite":
        _insert_packed(conn, table, shared, columns)
    else:
        rows = [{**shared, **dict(zip(columns, fields, strict=True))} for fields in zip(*columns.values(), strict=True)]
        conn.execute(postgresql.insert(table).on_conflict_do_nothing(), rows)


def _insert_packed(conn: Connection, table: Table, shared: Mapping[str, Any], columns: Mapping[str, Column]) -> None:
    values = {name: f":{name}" for name in shared}
    asked = dict(shared)
    for name, fields in columns.items():
        values[name] = _packed(name, fields, asked)
    asked["_count"] = len(next(iter(columns.values())))
    quoted = map(conn.dialect.identifier_preparer.quote, values)
    places = "WITH RECURSIVE each(place) AS (SELECT 0 UNION ALL SELECT place + 1 FROM each WHERE place + 1 < :_count)"
    # Only names of columns are in the text. Without a WHERE, SQLite would take ON CONFLICT for the condition of a join.
    rows = f"SELECT {', '.join(values.values())} FROM each WHERE true"  # noqa: S608
    conn.exec_driver_sql(f"{places} INSERT INTO {table.name} ({', '.join(quoted)}) {rows} ON CONFLICT DO NOTHING", asked)


def _packed(name: str, fields: Column, asked: dict[str, Any]) -> str:
    """Return the SQL of the field at ``place``, and add the parameters in it to what is ``asked``."""
    whole, lengths, kind = _joined([field for field in fields if field is not None])
    asked[name] = whole or b"."  # a part of nothing would be null, and not empty
    complete = len(lengths) == len(fields)
    if complete and lengths[0] and len(set(lengths)) == 1:
        asked[f"{name}_width"] = lengths[0]
        return f"CAST(substr(:{name}, 1 + :{name}_width * place, :{name}_width) AS {kind})"
    if not complete:
        each = iter(lengths)
        lengths = [_NULL if field is None else next(each) for field in fields]
    begins = accumulate((max(length, 0) for length in lengths), initial=1)
    asked[f"{name}_marks"] = "".join(map(_MARK.__mod__, zip(begins, lengths, strict=False))).encode()
    begin, length = (f"CAST(substr(:{name}_marks, {first} + {2 * _DIGITS} * place, {_DIGITS}) AS INTEGER)" for first in (1, 1 + _DIGITS))
    found = f"CAST(substr(:{name}, {begin}, {length}) AS {kind})"
    return found if complete else f"CASE WHEN {length} > {_NULL} THEN {found} END"


def _joined(fields: list[Any]) -> tuple[bytes, list[int], str]:
    """Return fields one after the other as bytes, the length of each, and their type."""
    if not fields or isinstance(fields[0], bytes):
        return b"".join(fields), list(map(len, fields)), "BLOB"
    text = "".join(fields)
    if not text.isascii():
        fields = [field.encode() for field in fields]
    return text.encode(), list(map(len, fields)), "TEXT"
