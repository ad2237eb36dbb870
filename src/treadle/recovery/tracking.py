"""MLflow's database on its way into a backup and out of it, and the addresses of files that stand in it.

MLflow makes the tables itself, on whichever database; only rows are carried over. What a tracking server keeps is the server's.
"""

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, Table, create_engine, func, inspect, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.types import String

from treadle.errors import TrackingUnavailable
from treadle.recovery.databases import copy_file, copy_rows, file_of, url_of
from treadle.settings import Workspace
from treadle.spec.addresses import without_secrets

REVISION = "alembic_version"

ARTEFACTS = "mlartifacts"


def is_database(url: str) -> bool:
    """Tell whether a tracking URL names a database, and not a server or a folder."""
    try:
        return make_url(url).get_backend_name() in {"sqlite", "postgresql"}
    except ArgumentError:
        return False


def left_out(workspace: Workspace) -> str:
    """Return a sentence about a tracking URL that no backup can hold, and an empty one about a database."""
    url = workspace.tracking_url
    return "" if is_database(url) else f"what MLflow keeps at {without_secrets(url)}: back that up where it runs"


def exists(workspace: Workspace) -> bool:
    """Tell whether there is a database to copy: one of our own is made only by the first training."""
    path = file_of(workspace.tracking_url)
    return path is None or path.is_file()


def save(url: str, target: Path) -> None:
    """Bring MLflow's database into one file, as it stands at one moment.

    Raises:
        StoreUnavailable, TrackingUnavailable: it is away or damaged, or was made by another version of MLflow.
    """
    path = file_of(url)
    if path is not None:
        copy_file(path, target)
        return
    make_tables(url_of(target))
    with _told(url), _engine(url, isolation_level="REPEATABLE READ") as there, _engine(url_of(target)) as here:
        _carry(there, here, _names(here), url)
    with closing(sqlite3.connect(target)) as settled:
        settled.execute("PRAGMA journal_mode = DELETE")


def load(path: Path, url: str) -> None:
    """Bring the rows of a file into the empty database at ``url``, in one transaction. Raises as ``save`` does."""
    make_tables(url)
    with _told(url), _engine(url_of(path)) as there, _engine(url) as here:
        _carry(there, here, _names(there), url)


def held(url: str) -> list[str]:
    """Return what MLflow's database at ``url`` holds, in words; nothing where it is empty."""
    with _told(url), _engine(url) as engine, engine.connect() as conn:
        there = set(inspect(conn).get_table_names()) & {"runs", "registered_models"}
        tables = _reflected(conn, there)
        found = {name: conn.execute(select(func.count()).select_from(table)).scalar_one() for name, table in tables.items()}
    return [f"{without_secrets(url)}: {count} rows in MLflow's table {name}" for name, count in sorted(found.items()) if count]


def clear(path: Path, url: str) -> None:
    """Delete every row that was loaded from the file at ``path`` into the database at ``url``."""
    with _told(url), _engine(url_of(path)) as file, _engine(url) as engine, engine.begin() as conn:
        for table in reversed(_sorted(conn, _names(file))):
            conn.execute(table.delete())


def relocate(path: Path, old: Path, new: Path) -> int:
    """Let every address in MLflow's file that lies below ``old`` point below ``new``; return how many those were."""
    moved = 0
    with _engine(url_of(path)) as engine, engine.begin() as conn:
        for table in _reflected(conn, set(inspect(conn).get_table_names())).values():
            for column in table.columns:
                if isinstance(column.type, String):
                    for before, after in ((old.as_uri(), new.as_uri()), (str(old), str(new))):
                        begins = func.substr(column, 1, len(before) + 1) == f"{before}/"
                        change = update(table).where(begins).values({column: after + func.substr(column, len(before) + 1)})
                        moved += conn.execute(change).rowcount
    return moved


def make_tables(url: str) -> None:
    """Let MLflow make its tables in a database, or see that they are those of this MLflow.

    Raises:
        TrackingUnavailable: MLflow is not installed, or the database is away or of another version.
    """
    try:
        from treadle.registry.library import MlflowException, connect  # noqa: PLC0415 - seconds, and only where rows change databases
    except ImportError as error:
        raise TrackingUnavailable(without_secrets(url), f"MLflow is needed to make its tables ({error})") from error
    try:
        connect(url).search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise TrackingUnavailable(without_secrets(url), str(error).partition("\n")[0]) from error


def _carry(there: Engine, here: Engine, names: set[str], url: str) -> None:
    """Carry all rows of MLflow's tables over, in one transaction on either side."""
    with there.connect() as reading, here.begin() as writing:
        tables = _sorted(writing, names)
        for table in reversed(tables):
            writing.execute(table.delete())  # the experiment that MLflow makes by itself
        known = _reflected(reading, names)
        _require_same_revision(reading, writing, url)
        copy_rows(reading, writing, ((known[table.name], table) for table in tables))
        if writing.dialect.name == "postgresql":
            _count_on(writing, tables)


def _require_same_revision(reading: Connection, writing: Connection, url: str) -> None:
    asked = text(f"SELECT version_num FROM {REVISION}")  # noqa: S608 - a constant
    one, other = (conn.execute(asked).scalar() for conn in (reading, writing))
    if one != other:
        raise TrackingUnavailable(
            without_secrets(url), f"the rows are of MLflow's schema {one}, and this MLflow has {other}: run `mlflow db upgrade` on them"
        )


def _count_on(conn: Connection, tables: list[Table]) -> None:
    """Let PostgreSQL number the next rows behind those that were carried over."""
    for table in tables:
        for column in table.primary_key.columns:
            asked = text("SELECT pg_get_serial_sequence(:table, :column)")
            sequence = conn.execute(asked, {"table": f'"{table.name}"', "column": column.name}).scalar()
            highest = conn.execute(select(func.max(column))).scalar() if sequence else None
            if highest is not None and highest > 0:
                conn.execute(text("SELECT setval(CAST(:sequence AS regclass), :highest)"), {"sequence": sequence, "highest": highest})


def _names(file: Engine) -> set[str]:
    """Return the names of MLflow's tables, as a file that holds nothing else has them."""
    with file.connect() as conn:
        return set(inspect(conn).get_table_names()) - {REVISION}


def _sorted(conn: Connection, names: set[str]) -> list[Table]:
    """Return tables of a database, what is named before what names it. Another program may have tables there too."""
    found = _reflected(conn, names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tables that name each other in a circle are taken by their names
        return next(iter(found.values())).metadata.sorted_tables if found else []


def _reflected(conn: Connection, names: set[str]) -> dict[str, Table]:
    """Return tables of a database as it describes them; those that are not there are left out."""
    metadata = MetaData()
    there = names & set(inspect(conn).get_table_names())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about types of SQLite that are no type
        metadata.reflect(conn, only=sorted(there), resolve_fks=False)
    return {name: metadata.tables[name] for name in sorted(there)}


@contextmanager
def _engine(url: str, **options: object) -> Iterator[Engine]:
    address = make_url(url)
    if address.get_backend_name() == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    engine = create_engine(address, execution_options=options)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _told(url: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise TrackingUnavailable(without_secrets(url), str(error).partition("\n")[0]) from error
