"""Look at a table for the first time: find out where it is, how it is written, and read it without deciding anything about its values."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pandas import DataFrame

from treadle.data import sources, tables
from treadle.drafting.asked import DATABASE, Asked
from treadle.drafting.reading import Reading, read_file
from treadle.errors import DatabaseRefused, NoRows, NoTable, TableNotFound, TableNotNamed, TableUnknown
from treadle.settings import Workspace
from treadle.spec import DownloadSource, FileSource, MirrorSource, Source, TableSource

TIMEOUT = 10.0
"""Seconds that the network may stay silent."""

SQLITE = b"SQLite format 3\x00"


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it was found: every cell of a CSV is text ("" where there is none), other tables keep their own types.

    ``raw`` is what load() of the project will get, ``source`` is how the contract names it, ``called`` how a person does.
    """

    frame: DataFrame
    raw: Path | DataFrame
    reading: Reading
    source: Source
    called: str


def look(asked: Asked, workspace: Workspace) -> Table:
    """Read the table that ``asked.origin`` names.

    A path is seen from the current folder. A file behind a URL is kept in the home folder, where the project will find it.

    Raises:
        NoTable: there is nothing there, or no table that can be read.
        NoRows: it is empty.
        TableNotNamed, TableUnknown: which table of the database is meant is not said, or there is no such table.
    """
    if asked.origin.lower().startswith(("http://", "https://")):
        return _behind_url(asked, workspace)
    if DATABASE.match(asked.origin) and not asked.origin.startswith("file://"):
        return _in_database(asked, workspace)
    path = Path(asked.origin.removeprefix("file://")).expanduser()
    if path.is_file() and _starts_with(path, SQLITE):
        return _in_database(Asked(asked.name, f"sqlite:///{path.resolve()}", asked.target, asked.table), workspace)
    frame, reading = read_file(_existing(path, asked), asked)
    return Table(frame, path.resolve(), reading, _source(path.resolve(), workspace), path.name)


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _existing(path: Path, asked: Asked) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        inside = sorted(str(path / file.name) for file in path.iterdir() if file.suffix in {".csv", ".tsv", ".txt", ".parquet", ".db"})
        raise NoTable(asked.origin, "it is a folder", _retry(asked, inside, "Name a file"))
    near = (
        sorted(str(file) for file in path.parent.glob("*") if file.suffix in {".csv", ".tsv", ".parquet"}) if path.parent.is_dir() else []
    )
    raise NoTable(asked.origin, "there is no such file", _retry(asked, _like(str(path), near), "Name a file that is there"))


def _like(name: str, known: Sequence[str]) -> list[str]:
    return get_close_matches(name, known, n=1) or list(known)


def _retry(asked: Asked, known: Sequence[str], otherwise: str) -> str:
    command = asked.command(origin=known[0] if known else "FILE")
    return f"{'Do you mean' if known else otherwise + ':'} `{command}`{'?' if known else ''}"


def _source(path: Path, workspace: Workspace) -> Source:
    """Return how the contract names a file: in the mirror, from the workspace, or absolutely."""
    mirror = workspace.data_mirror
    if mirror is not None and path.is_relative_to(mirror):
        return MirrorSource(kind="mirror", file=path.relative_to(mirror).as_posix())
    inside = path.is_relative_to(workspace.root)
    return FileSource(kind="file", path=path.relative_to(workspace.root).as_posix() if inside else str(path))


def _behind_url(asked: Asked, workspace: Workspace) -> Table:
    if asked.secret:
        raise NoTable(
            "The URL", "it holds a password, which must not stand in model.yaml", f"Download it: `{asked.command(origin='FILE')}`"
        )
    kept = sources.download_place(asked.origin, workspace)
    if kept.is_file():
        frame, reading = read_file(kept, asked)
    else:
        with _downloaded(asked, workspace, kept) as fresh:
            frame, reading = read_file(fresh, asked)
            fresh.replace(kept)
    return Table(frame, kept, reading, DownloadSource(kind="download", url=asked.origin), asked.origin)


@contextmanager
def _downloaded(asked: Asked, workspace: Workspace, kept: Path) -> Iterator[Path]:
    """Yield a fresh file with what lies behind the URL; it goes away again unless it is moved."""
    if workspace.settings.offline:
        command = f"TREADLE_OFFLINE=false {asked.command()}"
        raise NoTable(asked.origin, "the setting offline forbids every download", f"Allow it once: `{command}`")
    kept.parent.mkdir(parents=True, exist_ok=True)
    fresh = kept.with_name(f"fresh-{time.time_ns()}-{kept.name}")
    try:
        sources.download(asked.origin, fresh, TIMEOUT)
        yield fresh
    except sources.Miss as miss:
        raise NoTable(asked.origin, str(miss), f"Look at the address in a browser, then type `{asked.command()}`") from miss
    finally:
        fresh.unlink(missing_ok=True)


def _in_database(asked: Asked, workspace: Workspace) -> Table:
    try:
        url = tables.parsed(asked.origin, Path.cwd())
        shown = tables.shown(url)
        if asked.table is None:
            known = tables.names(url)
            raise TableNotNamed(shown, known, asked.command(table=known[0] if known else "TABLE"))
        # The password stays in this process: the contract names a variable.
        whole = TableSource.model_construct(kind="table", url=url.render_as_string(hide_password=False), table=asked.table, query="")
        frame = tables.read(whole, workspace.root)
    except TableNotFound as error:
        known = tables.names(url)
        near = (_like(str(asked.table), known) or ["TABLE"])[0]
        raise TableUnknown(str(asked.table), shown, known, asked.command(table=near)) from error
    except DatabaseRefused as error:
        raise NoTable(asked.called, error.reason, f"Mend that, then type `{asked.command()}`") from error
    if frame.empty:
        raise NoRows(f"The table {asked.table}", "it has columns only", asked.command())
    if asked.secret:
        source = TableSource(kind="table", variable=asked.variable, table=asked.table)
    else:
        source = TableSource(kind="table", url=_from_root(asked.origin, workspace), table=asked.table)
    return Table(frame.rename(columns=str), frame, Reading("sql"), source, f"table {asked.table}")


def _from_root(origin: str, workspace: Workspace) -> str:
    """Return the URL with a file of SQLite named from the workspace, where it lies inside."""
    url = tables.parsed(origin, Path.cwd())
    if url.get_backend_name() != "sqlite":
        return origin
    path = Path(str(url.database))
    return f"sqlite:///{os.path.relpath(path, workspace.root) if path.is_relative_to(workspace.root) else path}"
