"""Take the steps that a database lacks, in the transaction of the caller: all of them, or none."""

import logging
import time

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError

from treadle.errors import SchemaUnknown, UpgradeFailed
from treadle.state import migrations
from treadle.state.migrations import baseline
from treadle.state.schema import metadata

TABLES_SECONDS = 30.0
"""How long a step waits on Postgres until nobody reads or writes the tables."""

HOLD_MILLISECONDS = 300
"""How long it may hold some of the tables while it waits for the others: shorter than Postgres takes to see a deadlock."""

REST_SECONDS = 0.1

logger = logging.getLogger(__name__)


def take(conn: Connection, url: str, start: str | None) -> None:
    """Take every step after ``start``; None is a database from before there were revisions.

    Raises:
        SchemaUnknown: its tables are not those of a Treadle.
        UpgradeFailed: a step failed; the caller's transaction must not be committed.
    """
    if start is None:
        _require_baseline(conn, url)
        start = migrations.FIRST
        migrations.stamp(conn, start)
    if conn.dialect.name == "postgresql":
        _lock_tables(conn, url, start)
    with Operations.context(MigrationContext.configure(conn, opts={"version_table": migrations.NAME})):
        for step in pending(start):
            _take_one(conn, url, start, step)
    logger.info("%s was brought from revision %s to %s.", url, start, migrations.HEAD)


def every() -> list[Script]:
    """Return all steps up to the last that this Treadle knows, the first one first."""
    return list(ScriptDirectory(str(migrations.FOLDER.parent)).iterate_revisions(migrations.HEAD, "base"))[::-1]


def pending(start: str) -> list[Script]:
    """Return the steps after ``start``, the next one first."""
    return [step for step in every() if step.revision > start]


def _take_one(conn: Connection, url: str, start: str, step: Script) -> None:
    try:
        step.module.upgrade()
        migrations.stamp(conn, step.revision)
    except DBAPIError as error:
        raise UpgradeFailed(url, start, step.revision, str(error.orig)) from error
    except Exception as error:  # whatever a step stumbles over, nothing of it may stay
        raise UpgradeFailed(url, start, step.revision, f"{type(error).__name__}: {error}") from error


def _require_baseline(conn: Connection, url: str) -> None:
    """Refuse tables that only have the names of ours: what is in them belongs to somebody else."""
    inspector = inspect(conn)
    there = set(inspector.get_table_names())
    lacking = []
    for name, table in baseline.metadata.tables.items():
        columns = {column["name"] for column in inspector.get_columns(name)} if name in there else set()
        missing = [column.name for column in table.columns if column.name not in columns]
        if missing:
            lacking.append(f"{name} has no {', '.join(missing)}" if name in there else f"there is no table {name}")
    if lacking:
        raise SchemaUnknown(url, lacking)


def _lock_tables(conn: Connection, url: str, start: str) -> None:
    """Take all tables at once before the first is changed, so that who uses two of them never waits for us in a circle.

    A try that has not got them all soon gives back those that it has, and lets the others finish.
    """
    ours = {*baseline.metadata.tables, *metadata.tables}
    names = ", ".join(sorted(ours & set(inspect(conn).get_table_names())))
    end = time.monotonic() + TABLES_SECONDS
    while True:
        try:
            with conn.begin_nested():
                conn.execute(text(f"SET LOCAL statement_timeout = {HOLD_MILLISECONDS}"))
                conn.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
                conn.execute(text("SET LOCAL statement_timeout = DEFAULT"))
        except OperationalError as error:
            if error.connection_invalidated:
                raise
            if time.monotonic() >= end:
                reason = f"its tables were in use for {TABLES_SECONDS:g} seconds, by something that reads or writes for so long"
                raise UpgradeFailed(url, start, migrations.HEAD, reason) from error
            time.sleep(REST_SECONDS)
        else:
            return
