"""Databases on their way into a backup and out of it. In a backup each is one file of SQLite, whatever it was before."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, Table, func, inspect, select, update
from sqlalchemy.engine import URL, make_url

from treadle.errors import StoreUnavailable
from treadle.state import events
from treadle.state.schema import leases, metadata
from treadle.state.store import BUSY_SECONDS, Store, open_store

BITE = 2000
"""Rows that go over at once."""


def url_of(path: Path) -> str:
    """Return the URL of a file of SQLite."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def file_of(url: str) -> Path | None:
    """Return the file that a URL names; None where it is no file of SQLite."""
    parsed = make_url(url)
    return Path(parsed.database).absolute() if parsed.get_backend_name() == "sqlite" and parsed.database else None


def copy_file(source: Path, target: Path) -> None:
    """Copy a database of SQLite as it stands at one moment. Writers go on meanwhile.

    Raises:
        StoreUnavailable: the database is not there, or is damaged.
        sqlite3.Error: the copy cannot be written.
    """
    if not source.is_file():
        raise StoreUnavailable(url_of(source), "there is no such file")
    with closing(sqlite3.connect(source, timeout=BUSY_SECONDS)) as reading, closing(sqlite3.connect(target)) as writing:
        reading.backup(writing)
        # One file, and nothing beside it.
        writing.execute("PRAGMA journal_mode = DELETE")
        found = writing.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreUnavailable(url_of(source), f"it is damaged: {found}")


def copy_rows(source: Connection, target: Connection, tables: Iterable[tuple[Table, Table]]) -> None:
    """Copy all rows of tables (each as the source and as the target describes it), in bites."""
    for there, here in tables:
        names = [column.name for column in here.columns if column.name in there.columns]
        chosen = select(*(there.c[name] for name in names)).execution_options(yield_per=BITE)
        with source.execute(chosen) as rows:
            for part in rows.partitions():
                target.execute(here.insert(), [dict(zip(names, row, strict=True)) for row in part])


def save_store(store: Store, url: str, target: Path) -> None:
    """Bring the state store into one file, as it stands at one moment.

    Raises:
        StoreUnavailable: the store is away or damaged.
    """
    path = file_of(url)
    if path is not None:
        copy_file(path, target)
        return
    copy = open_store(url_of(target))
    try:
        with store.read() as reading, copy.write() as writing:
            copy_rows(reading, writing, ((table, table) for table in metadata.sorted_tables))
    finally:
        copy.close()
    with closing(sqlite3.connect(target)) as settled:
        settled.execute("PRAGMA journal_mode = DELETE")


def load_store(path: Path, store: Store) -> None:
    """Bring the rows of a store in a file into an empty one, in one transaction.

    Raises:
        StoreUnavailable: the store is away.
    """
    copy = Store(url_of(path))
    try:
        with copy.read() as reading, store.write() as writing:
            events.lock(writing)
            copy_rows(reading, writing, ((table, table) for table in metadata.sorted_tables))
    finally:
        copy.close()


def end_leases(store: Store) -> None:
    """Let every lease run out: who held it is not here. Its number stays, so that the next holder gets a higher one."""
    with store.write() as conn:
        conn.execute(update(leases).values(expires=0.0))


def counts(conn: Connection) -> dict[str, int]:
    """Return how many rows each table of the state holds, where there is such a table."""
    there = set(inspect(conn).get_table_names())
    return {
        table.name: conn.execute(select(func.count()).select_from(table)).scalar_one()
        for table in metadata.sorted_tables
        if table.name in there
    }


def clear(store: Store) -> None:
    """Delete every row of the state."""
    with store.write() as conn:
        events.lock(conn)
        for table in reversed(metadata.sorted_tables):
            conn.execute(table.delete())
