"""Rows out of a database: what a source of kind ``table`` names."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from pandas import DataFrame
from sqlalchemy import URL, Connection, MetaData, Table, create_engine, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, NoSuchTableError, SQLAlchemyError

from treadle.errors import DatabaseRefused, TableNotFound
from treadle.spec import TableSource
from treadle.spec.addresses import without_secrets

IN_MEMORY = ":memory:"


def read(source: TableSource, root: Path) -> DataFrame:
    """Return the rows of a table, in the order of its primary key if it has one, or of a query.

    Args:
        source: which database, and which rows.
        root: the folder that a file of SQLite is relative to.

    Raises:
        DatabaseRefused: the database cannot be reached or read; the error never shows a password.
        TableNotFound: it has no such table.
    """
    url = address(source, root)
    with _connected(url) as conn:
        if source.query:
            return pd.read_sql(text(source.query), conn)
        schema, _, name = source.table.rpartition(".")
        try:
            table = Table(name, MetaData(), schema=schema or None, autoload_with=conn)
        except NoSuchTableError as error:
            raise TableNotFound(source.table, shown(url), _names(conn)) from error
        return pd.read_sql(select(table).order_by(*table.primary_key.columns), conn)


def names(url: URL) -> list[str]:
    """Return the tables and views of a database.

    Raises:
        DatabaseRefused: it cannot be reached.
    """
    with _connected(url) as conn:
        return _names(conn)


def address(source: TableSource, root: Path) -> URL:
    """Return the URL of a source's database.

    Raises:
        DatabaseRefused: its variable is not set, or what it holds is no URL.
    """
    given = source.url or os.environ.get(source.variable, "")
    if not given:
        raise DatabaseRefused(f"the database of ${source.variable}", f"the environment variable {source.variable} is not set")
    return parsed(given, root)


def parsed(given: str, root: Path) -> URL:
    """Return a URL with a driver that is there, and with a file of SQLite named from ``root``.

    Raises:
        DatabaseRefused: it is no URL.
    """
    try:
        url = make_url(given)
    except ArgumentError as error:
        raise DatabaseRefused("the database", "what is given is no URL such as postgresql://host/database") from error
    if url.drivername in {"postgres", "postgresql"}:
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database and url.database != IN_MEMORY:
        return url.set(database=str((root / url.database).resolve()))
    return url


def shown(url: URL) -> str:
    """Return a URL as a person may see it: without its password and without our driver."""
    return without_secrets(url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False))


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    """Open a connection for reading; whatever SQLAlchemy raises becomes a DatabaseRefused."""
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).is_file():
        raise DatabaseRefused(shown(url), "there is no such file")  # SQLite would make an empty one
    try:
        engine = create_engine(url)
    except (NoSuchModuleError, ImportError) as error:
        raise DatabaseRefused(shown(url), f"its driver is not installed ({error})") from error
    try:
        with engine.connect() as conn:
            yield conn
    except (SQLAlchemyError, pd.errors.DatabaseError) as error:
        cause = error.__cause__ if isinstance(error, pd.errors.DatabaseError) else error
        raise DatabaseRefused(shown(url), str(getattr(cause, "orig", None) or error).splitlines()[0]) from error
    finally:
        engine.dispose()


def _names(conn: Connection) -> list[str]:
    looked = inspect(conn)
    return [*looked.get_table_names(), *looked.get_view_names()]
