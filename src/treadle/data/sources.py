"""Where rows come from: the sources of the contract, tried in order until one has them."""

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
from pandas import DataFrame, Series

from treadle.data import tables
from treadle.errors import DatabaseRefused, DataDigestMismatch, DataUnavailable, DataUnreadable, SettingsInvalid, TableNotFound
from treadle.projects import Project
from treadle.settings import Workspace
from treadle.spec import BundledSource, DownloadSource, FileSource, MirrorSource, SimulatedSource, Source, TableSource
from treadle.spec.addresses import without_secrets

WHOLE_DOWNLOAD = 6
"""A whole download may take this many times as long as one answer of the network."""


@dataclass(frozen=True)
class Fetched:
    """Rows, where they came from, whether they were made up, and their digest (see ``rows_digest``)."""

    frame: DataFrame
    source: str
    simulated: bool
    digest: str


class Miss(Exception):
    """This source has no data here; the next one is tried."""


def fetch(project: Project, workspace: Workspace, *, seed: int, timeout: float = 10.0) -> Fetched:
    """Return the rows of the first source that has any.

    ``seed`` is for simulated rows; ``timeout`` is how many seconds the network may stay silent.

    Raises:
        DataUnavailable: every source failed; the error lists each with its reason.
        DataDigestMismatch: a file holds other rows than the contract names. It is refused, not passed over.
        DataUnreadable: ``load`` in model.py failed on the data.
    """
    misses = []
    for source in project.contract.data:
        try:
            frame = _rows(source, project, workspace, seed=seed, timeout=timeout)
        except Miss as miss:
            misses.append(f"{_named(source)}: {miss}")
            continue
        return Fetched(frame, _named(source), isinstance(source, SimulatedSource), rows_digest(frame))
    raise DataUnavailable(project.name, misses)


def load_file(project: Project, path: Path) -> DataFrame:
    """Return the rows of a file that is no source of the contract, as ``load`` in model.py reads it.

    Raises:
        DataUnreadable: there is no such file, or ``load`` failed on it.
    """
    if not path.is_file():
        raise DataUnreadable(f"file {path}", "there is no such file.")
    return _read(project, path, f"file {path}")


def rows_digest(frame: DataFrame) -> str:
    """Return the SHA-256 (hex) over the sorted canonical rows.

    Line ends, the order of rows and columns, whether a whole number is kept as 3 or 3.0, and the last bit of a float (in which
    parsers differ) do not change it.
    """
    names = sorted(frame.columns)
    columns = [_canonical(frame[name]) for name in names]
    rows = sorted(json.dumps(row, ensure_ascii=False) for row in zip(*columns, strict=True))
    return hashlib.sha256("\n".join([json.dumps(names), *rows]).encode()).hexdigest()


def _rows(source: Source, project: Project, workspace: Workspace, *, seed: int, timeout: float) -> DataFrame:
    match source:
        case BundledSource():
            return _loaded(project, None, source)
        case MirrorSource():
            return _checked(_loaded(project, _mirrored(source, workspace), source), source)
        case FileSource():
            return _checked(_loaded(project, _own(source, workspace), source), source)
        case TableSource():
            return _checked(_loaded(project, _table(source, workspace), source), source)
        case DownloadSource():
            return _downloaded(source, project, workspace, timeout)
        case SimulatedSource():
            rows: DataFrame = project.hook("synthesize")(source.rows, seed)
            return rows


def _named(source: Source) -> str:
    match source:
        case BundledSource():
            return f"library {source.library}"
        case MirrorSource():
            return f"mirror file {source.file}"
        case FileSource():
            return f"file {source.path}"
        case TableSource():
            return f"{f'table {source.table}' if source.table else 'query'} of {source.url or f'${source.variable}'}"
        case DownloadSource():
            return f"download {without_secrets(source.url)}"
        case SimulatedSource():
            return f"simulation of {source.rows} rows"


def _loaded(project: Project, raw: Path | DataFrame | None, source: Source) -> DataFrame:
    return _read(project, raw, _named(source))


def _read(project: Project, raw: Path | DataFrame | None, source: str) -> DataFrame:
    load: Callable[[Path | DataFrame | None], DataFrame] = project.hook("load")
    try:
        frame = load(raw)
    except Exception as error:
        raise DataUnreadable(source, f"{type(error).__name__}: {error}") from error
    if not isinstance(frame, DataFrame):
        raise DataUnreadable(source, f"load() returned {type(frame).__name__}, not a DataFrame.")
    return frame


def _checked(frame: DataFrame, source: MirrorSource | FileSource | TableSource | DownloadSource) -> DataFrame:
    if source.rows_digest and (found := rows_digest(frame)) != source.rows_digest:
        raise DataDigestMismatch(_named(source), source.rows_digest, found)
    return frame


def _mirrored(source: MirrorSource, workspace: Workspace) -> Path:
    mirror = workspace.data_mirror
    if mirror is None:
        message = "TREADLE_DATA_MIRROR names no folder"
        raise Miss(message)
    if not mirror.is_dir():
        # Passed over in silence it would turn real data into simulated ones.
        raise SettingsInvalid("TREADLE_DATA_MIRROR or treadle.toml", [f"data_mirror = {str(mirror)!r}: there is no such folder"])
    path = mirror / source.file
    if not path.is_file():
        message = f"there is no {path}"
        raise Miss(message)
    return path


def _own(source: FileSource, workspace: Workspace) -> Path:
    path = workspace.root / Path(source.path).expanduser()
    if not path.is_file():
        message = f"there is no {path}"
        raise Miss(message)
    return path


def _table(source: TableSource, workspace: Workspace) -> DataFrame:
    try:
        return tables.read(source, workspace.root)
    except (DatabaseRefused, TableNotFound) as error:
        raise Miss(error.reason) from error


def download_place(url: str, workspace: Workspace) -> Path:
    """Return where the file behind a URL is kept for the next time."""
    name = url.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]
    return workspace.home / "downloads" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{name}"


def _downloaded(source: DownloadSource, project: Project, workspace: Workspace, timeout: float) -> DataFrame:
    """Return the rows behind a URL; a file is kept for the next time only once its rows have been checked."""
    kept = download_place(source.url, workspace)
    if kept.is_file():
        return _checked(_loaded(project, kept, source), source)
    if workspace.settings.offline:
        message = "TREADLE_OFFLINE is set"
        raise Miss(message)
    kept.parent.mkdir(parents=True, exist_ok=True)
    fresh = kept.with_name(f"fresh-{time.time_ns()}-{kept.name}")
    try:
        download(source.url, fresh, timeout)
        frame = _checked(_loaded(project, fresh, source), source)
        fresh.replace(kept)
    finally:
        fresh.unlink(missing_ok=True)
    return frame


def download(url: str, path: Path, timeout: float) -> None:
    """Write what lies behind a URL into a file; ``timeout`` is how many seconds the network may stay silent.

    Raises:
        Miss: it cannot be had, or not in time.
    """
    deadline = time.monotonic() + WHOLE_DOWNLOAD * timeout
    try:
        with httpx.stream("GET", url, timeout=timeout, follow_redirects=True) as response, path.open("wb") as file:
            response.raise_for_status()
            for chunk in response.iter_bytes():
                file.write(chunk)
                if time.monotonic() > deadline:
                    message = f"it was not complete after {WHOLE_DOWNLOAD * timeout:g} s"
                    raise Miss(message)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Miss(message) from error


def _canonical(column: "Series[Any]") -> list[str | bool | float | None]:
    """Return the values as JSON can tell them apart: text, true, false, null, and numbers as floats of 15 digits."""
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        return [_canonical_value(value) for value in column]
    return [None if math.isnan(value) else float(f"{value:.15g}") for value in column.to_numpy(dtype=float, na_value=math.nan).tolist()]


def _canonical_value(value: object) -> str | bool | None:
    if pd.isna(value):  # type: ignore[call-overload]
        return None
    return bool(value) if isinstance(value, bool) or type(value).__name__ == "bool" else str(value)
