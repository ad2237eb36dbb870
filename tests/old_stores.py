"""Stores as older versions of Treadle left them, and what a database is made of: to see what an upgrade does to both."""

import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from treadle.state.store import Store

FIXTURES = Path(__file__).parent / "fixtures"


def fill(url: str) -> Store:
    """Make the store of issue 1 in the empty database at ``url``, with its rows; return it as it is."""
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite":
        connection = sqlite3.connect(str(address.database))
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((FIXTURES / "schema_1.sqlite.sql").read_text(encoding="utf-8"))
        connection.close()
    else:
        store = Store(url)
        with store.write() as conn:
            # Without parameters the driver sends the whole script as it is.
            conn.connection.cursor().execute((FIXTURES / "schema_1.postgres.sql").read_text(encoding="utf-8"))
        store.close()
    return Store(url)


def rows(conn: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table, whatever the tables are."""
    found = {}
    for name in sa.inspect(conn).get_table_names():
        table = sa.Table(name, sa.MetaData(), autoload_with=conn)
        found[name] = sorted((tuple(row) for row in conn.execute(table.select())), key=repr)
    return found


def shape(conn: Connection) -> dict[str, Any]:
    """Return the columns and keys of every table and the indexes as the database itself writes them, in no order of their making."""
    inspector = sa.inspect(conn)
    tables = {}
    for name in inspector.get_table_names():
        columns = [(one["name"], str(one["type"]), one["nullable"], one["default"]) for one in inspector.get_columns(name)]
        tables[name] = (sorted(columns, key=repr), inspector.get_pk_constraint(name)["constrained_columns"])
    written = (
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        if conn.dialect.name == "sqlite"
        else "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()"
    )
    return {"tables": tables, "indexes": sorted(conn.exec_driver_sql(written).scalars())}
