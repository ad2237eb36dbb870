"""Immutable snapshots of rows, named by what they hold and versioned by DVC.

The folder is a DVC repository of its own, without git, so nothing of the user's is ever touched:

    <model>/<digest>.parquet       the rows, read-only; the digest is the SHA-256 of the file
    <model>/<digest>.parquet.dvc   what DVC knows about it; a snapshot exists once this file does

A writer works in a folder of its own under ``.incoming/`` and renames what is ready, so whatever kills it leaves nothing
half-made in sight.
"""

import hashlib
import io
import logging
import os
import shutil
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from filelock import FileLock
from pandas import DataFrame

from treadle.bundle.durable import sync_folder, write_through
from treadle.errors import SnapshotCorrupt, SnapshotImpossible, SnapshotNotFound
from treadle.spec import canonical_json

META_KEY = b"treadle"

DVC_CONFIG = b"""\
[core]
    no_scm = True
    analytics = False
    check_update = False
[cache]
    type = "reflink,hardlink,copy"
"""


@dataclass(frozen=True)
class Snapshot:
    """One snapshot: ``dvc_md5`` is the name by which DVC knows it, ``meta`` what its maker wrote about its origin."""

    digest: str
    path: Path
    dvc_md5: str
    rows: int
    meta: Mapping[str, Any]


class SnapshotPlace:
    """The data repository of a workspace. One process writes at a time; readers need no lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def save(self, model: str, frame: DataFrame, meta: Mapping[str, Any]) -> Snapshot:
        """Keep ``frame`` and ``meta`` (JSON-ready); equal rows in equal order with equal meta are one snapshot.

        Raises:
            SnapshotImpossible: a column holds values of several types.
        """
        content = _to_parquet(frame, meta)
        path = self._path(model, hashlib.sha256(content).hexdigest())
        with self.writing():
            if _dvc_file(path).is_file():
                _dvc_file(path).touch()  # whoever clears up takes it for new again
            else:
                self._write(path, content)
        return _describe(path)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock of the writers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            yield

    def remove(self, model: str, digest: str) -> None:
        """Remove a snapshot, and DVC's copy of it; the caller holds the lock. What a killed writer left goes too."""
        path = self._path(model, digest)
        shutil.rmtree(self.folder / ".incoming", ignore_errors=True)
        if _dvc_file(path).is_file():
            md5 = _dvc_md5(path)
            _dvc_file(path).unlink()  # first, for a snapshot exists as long as this file does
            (self.folder / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]).unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def load(self, model: str, digest: str) -> tuple[DataFrame, dict[str, Any]]:
        """Return the rows and the meta of a snapshot, after checking every byte.

        Raises:
            SnapshotNotFound: there is no such snapshot.
            SnapshotCorrupt: the file was changed.
        """
        path = self._path(model, digest)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SnapshotNotFound(model, digest, self.folder) from error
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            raise SnapshotCorrupt(path, found)
        table = pq.read_table(io.BytesIO(content))
        return table.to_pandas(), _meta(table.schema)

    def get(self, model: str, digest: str) -> Snapshot:
        """Return what is known of a snapshot, without its rows.

        Raises:
            SnapshotNotFound: there is no such snapshot.
        """
        path = self._path(model, digest)
        if not _dvc_file(path).is_file():
            raise SnapshotNotFound(model, digest, self.folder)
        return _describe(path)

    def list(self, model: str) -> list[Snapshot]:
        """Return the snapshots of a model, oldest first."""
        files = sorted((self.folder / model).glob("*.parquet.dvc"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        return [_describe(path.with_suffix("")) for path in files]

    def _path(self, model: str, digest: str) -> Path:
        return self.folder / model / f"{digest}.parquet"

    def _write(self, path: Path, content: bytes) -> None:
        """Let DVC take the file in, then bring it into sight. The caller holds the lock."""
        incoming = self.folder / ".incoming"
        shutil.rmtree(incoming, ignore_errors=True)  # what a killed writer left
        staging = incoming / uuid.uuid4().hex  # never the same twice: DVC remembers paths that a killed process had locked
        staging.mkdir(parents=True)
        if not (self.folder / ".dvc").is_dir():
            _make_repository(self.folder, staging)
        fresh = staging / path.name
        write_through(fresh, content)
        _track(self.folder, fresh)
        path.parent.mkdir(exist_ok=True)
        fresh.replace(path)
        _dvc_file(fresh).replace(_dvc_file(path))
        sync_folder(path.parent)
        shutil.rmtree(incoming, ignore_errors=True)


def _make_repository(folder: Path, staging: Path) -> None:
    """Lay out what `dvc init --no-scm` would. Done by hand because it must be there whole or not at all, whatever kills us."""
    fresh = staging / ".dvc"
    fresh.mkdir()
    write_through(fresh / "config", DVC_CONFIG)
    fresh.replace(folder / ".dvc")


def _track(folder: Path, path: Path) -> None:
    """Add ``path`` to the repository: DVC hashes it, keeps it in its cache, and links it back read-only."""
    os.environ["DVC_NO_ANALYTICS"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about how DVC uses its own libraries
        from dvc.repo import Repo  # noqa: PLC0415 - takes a second, which those who only read need not wait for

        logging.getLogger("dvc").setLevel(logging.CRITICAL)  # no progress bars; what goes wrong is raised anyway
        with Repo(str(folder), config={"core": {"site_cache_dir": str(folder / ".dvc" / "site")}}) as repo:
            repo.add(str(path))


def _to_parquet(frame: DataFrame, meta: Mapping[str, Any]) -> bytes:
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SnapshotImpossible(" ".join(map(str, error.args))) from error
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), META_KEY: canonical_json(dict(meta))})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _describe(path: Path) -> Snapshot:
    with pq.ParquetFile(path) as file:
        return Snapshot(path.stem, path, _dvc_md5(path), file.metadata.num_rows, _meta(file.schema_arrow))


def _dvc_md5(path: Path) -> str:
    md5: str = yaml.safe_load(_dvc_file(path).read_text(encoding="utf-8"))["outs"][0]["md5"]
    return md5


def _meta(schema: pa.Schema) -> dict[str, Any]:
    return msgspec.json.decode(schema.metadata[META_KEY], type=dict[str, Any])


def _dvc_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.dvc")
