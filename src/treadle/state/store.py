"""The state store: one database, SQLite or Postgres by URL, with the same promises on both.

``write()`` is one transaction that commits whole or not at all, ``read()`` one consistent snapshot that cannot write.
On SQLite a writer takes the write lock when it begins, so that nothing it reads can change before it commits.
"""

import contextlib
import copy
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from treadle.errors import SchemaNewer, StoreUnavailable
from treadle.spec.addresses import without_secrets
from treadle.state import migrations

BUSY_SECONDS = 10
"""How long a writer waits for another one before it gives up, and whoever connects for an answer."""

IDLE_SECONDS = 20
"""How long a process may be at a standstill inside a transaction until Postgres ends that: a machine that was suspended holds locks."""

UPGRADE_SECONDS = 60
"""How long whoever finds another one at work on the tables waits for it on Postgres."""

CREATE_LOCK = 0x7472_6501
"""Postgres advisory lock under which tables are made and changed."""


class Store:
    """A database of Treadle's state. Safe to use from several threads; each transaction has its own connection."""

    def __init__(self, url: str) -> None:
        """Prepare the store at an SQLAlchemy ``url`` without connecting to it.

        Raises:
            StoreUnavailable: the URL is not one, or names a database other than SQLite and Postgres.
        """
        self._check: Callable[[Connection], None] | None = None
        self._was_current = False
        try:
            self._url = make_url(url)
            self.dialect = self._url.get_backend_name()
            if self.dialect not in _ENGINES:
                raise StoreUnavailable(self.url, f"{self.dialect} is not among the databases that Treadle runs on: sqlite, postgresql.")
            self._writer, self._reader = _ENGINES[self.dialect](url)
        except (ArgumentError, NoSuchModuleError) as error:
            raise StoreUnavailable(without_secrets(url), str(error)) from error

    @property
    def url(self) -> str:
        """The URL without its password."""
        return without_secrets(self._url.render_as_string(hide_password=False))

    def create(self) -> None:
        """Make the folder and the tables, or bring those that are there to the newest schema. Several processes may do so at once.

        Where there is nothing to do, this is one small read. Who had the store open before a newer Treadle upgraded it may go on with
        it, also when it comes back after an outage; who opens it only then may not.

        Raises:
            StoreUnavailable: the database cannot be opened or written.
            SchemaNewer: a newer Treadle has changed its schema.
            SchemaUnknown: it has tables under the names of ours that are not ours.
            UpgradeFailed: a step to the newest schema failed; everything is as it was.
        """
        if self.dialect == "sqlite" and self._url.database:
            _prepare_file(Path(self._url.database), self.url)
        with self.read() as conn:
            current = self._is_current(conn)
        if not current:
            with self.write() as conn:
                if self.dialect == "postgresql":
                    conn.execute(text(f"SET LOCAL lock_timeout = '{UPGRADE_SECONDS}s'"))
                    conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CREATE_LOCK})
                if not self._is_current(conn):  # another process may have been first
                    self._upgrade(conn)
        self._was_current = True

    def revision(self) -> str | None:
        """Return the revision of the schema; None where the database has none yet.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        with self.read() as conn:
            return migrations.current(conn)

    def _is_current(self, conn: Connection) -> bool:
        found = migrations.current(conn)
        if found is None or found == migrations.HEAD:
            return found == migrations.HEAD
        if found in migrations.known():
            return False
        if not self._was_current:
            raise SchemaNewer(self.url, found, migrations.HEAD)
        return True

    def _upgrade(self, conn: Connection) -> None:
        from treadle.state.indexes import metadata  # noqa: PLC0415 - what it loads is not for a process that has nothing to upgrade

        found = migrations.current(conn)
        if found is None and not set(inspect(conn).get_table_names()) & set(metadata.tables):
            metadata.create_all(conn)
            migrations.stamp(conn, migrations.HEAD)
            return
        from treadle.state.migrations import steps  # noqa: PLC0415 - nor is Alembic

        steps.take(conn, self.url, found)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that commits at the end of the block and rolls back on any error.

        Raises:
            StoreUnavailable: the database cannot be reached, is locked for too long, is full or is damaged.
        """
        with self._translated(), self._writer.begin() as conn:
            if self._check is not None:
                self._check(conn)
            yield conn

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read-only transaction on one consistent snapshot.

        Raises:
            StoreUnavailable: the database cannot be reached or is damaged.
        """
        with self._translated(), self._reader.begin() as conn:
            yield conn

    def flush(self) -> None:
        """Bring what was committed to the disk, so that it survives the machine. Postgres does so at each commit.

        Raises:
            StoreUnavailable: the disk could not say so.
        """
        if self.dialect != "sqlite" or not self._url.database:
            return
        try:
            # SQLite holds no lock on this file; to open and close the database itself would drop those of this process.
            with Path(f"{self._url.database}-wal").open("rb") as journal:
                os.fsync(journal.fileno())
        except FileNotFoundError:
            pass  # No journal: SQLite has brought everything into the database, and that to the disk.
        except OSError as error:
            raise StoreUnavailable(self.url, str(error)) from error

    def used_bytes(self) -> int:
        """Return how many bytes of the database hold something; 0 where it is not a file of ours.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        if self.dialect != "sqlite":
            return 0
        with self.read() as conn:
            asked = ("page_count", "freelist_count", "page_size")
            pages, free, size = (conn.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in asked)
        return int((pages - free) * size)

    def compact(self) -> None:
        """Give back to the disk what deleted rows took up. Writers wait meanwhile. PostgreSQL sees to it by itself.

        Raises:
            StoreUnavailable: the database is locked for too long, or its disk has no room for the copy that this makes.
        """
        if self.dialect != "sqlite" or not self._url.database:
            return
        try:
            with contextlib.closing(sqlite3.connect(self._url.database, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise StoreUnavailable(self.url, str(error)) from error

    def guarded(self, check: Callable[[Connection], None]) -> "Store":
        """Return this store with ``check`` at the start of every write: it raises where the holder may write no more."""
        twin = copy.copy(self)
        twin._check = check  # noqa: SLF001 - a copy of ourselves
        return twin

    def close(self) -> None:
        """Close every idle connection. The store can be used again afterwards."""
        self._writer.dispose()
        self._reader.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, ProgrammingError, DataError):
            raise  # A mistake in a statement is a bug to see, not an outage to wait for.
        except DBAPIError as error:
            raise StoreUnavailable(self.url, str(error.orig)) from error
        except PoolTimeoutError as error:
            raise StoreUnavailable(self.url, str(error)) from error


def open_store(url: str) -> Store:
    """Return the store at ``url`` with all its tables in place, at the newest schema.

    Raises:
        StoreUnavailable: the URL is not one that Treadle runs on, or the database cannot be opened, written or upgraded.
    """
    store = Store(url)
    try:
        store.create()
    except BaseException:
        store.close()  # who tries again and again would else collect connections
        raise
    return store


def _prepare_file(path: Path, url: str) -> None:
    """Make the folder of an SQLite file and set its journal, which the file remembers: the switch cannot be made in a transaction."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(url, str(error)) from error


def _sqlite_engines(url: str) -> tuple[Engine, Engine]:
    return _sqlite_engine(url, "BEGIN IMMEDIATE", query_only=False), _sqlite_engine(url, "BEGIN", query_only=True)


def _sqlite_engine(url: str, begin: str, *, query_only: bool) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # The driver must not begin transactions of its own.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA query_only = {int(query_only)}")

    @event.listens_for(engine, "begin")
    def start(conn: Connection) -> None:
        conn.exec_driver_sql(begin)

    return engine


def _postgres_engines(url: str) -> tuple[Engine, Engine]:
    return _postgres_engine(url), _postgres_engine(url, isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _postgres_engine(url: str, **options: object) -> Engine:
    address = make_url(url).set(drivername="postgresql+psycopg")
    patience = {} if "connect_timeout" in address.query else {"connect_timeout": BUSY_SECONDS}
    engine = create_engine(address, pool_pre_ping=True, connect_args=patience, execution_options=options)

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _record: object) -> None:
        # A plan that was kept from when a table was empty would scan it whole once it is full.
        connection.cursor().execute(
            "SET plan_cache_mode = force_custom_plan; "
            f"SET lock_timeout = '{BUSY_SECONDS}s'; SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'"
        )
        connection.commit()

    return engine


_ENGINES = {"sqlite": _sqlite_engines, "postgresql": _postgres_engines}
