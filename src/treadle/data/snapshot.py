"""Immutable snapshots of rows, named by what they hold and versioned by DVC.

The folder is a DVC repository of its own, without git, so nothing of the user's is ever touched:

    <model>/<digest>.parquet       the rows, read-only; the digest is the SHA-256 of the file
    <model>/<digest>.parquet.dvc   what DVC knows about it; a snapshot exists once this file does

A writer works in a folder of its own under ``.incoming/`` and renames what is ready, so whatever kills it leaves nothing
half-made in sight. Where hosts share a place, both files are brought there, the second last; and what is missing here is had from there.
"""

import builtins
import hashlib
import io
import logging
import os
import re
import shutil
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from filelock import FileLock
from pandas import DataFrame

from treadle.bundle.durable import sync_folder, write_through
from treadle.bundle.manifest import digest_of
from treadle.bundle.remote import Remote
from treadle.errors import SnapshotCorrupt, SnapshotImpossible, SnapshotNotFound
from treadle.settings import Workspace
from treadle.spec import canonical_json

META_KEY = b"treadle"

FETCHED = ".fetched-"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHARED = re.compile(r"([0-9a-f]{64})\.parquet\.dvc")

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
    """The data repository of a workspace. One process of a host writes at a time; readers need no lock."""

    def __init__(self, folder: Path, remote: Remote | None = None) -> None:
        self.folder = folder.resolve()
        self.remote = remote

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """Return the data repository of a workspace, with the place that it shares with others."""
        return cls(workspace.snapshot_dir, Remote.of(workspace, "snapshots"))

    @property
    def shared(self) -> str:
        """The address of the place that hosts share; empty if there is none."""
        return self.remote.url if self.remote else ""

    def save(self, model: str, frame: DataFrame, meta: Mapping[str, Any]) -> Snapshot:
        """Keep ``frame`` and ``meta`` (JSON-ready); equal rows in equal order with equal meta are one snapshot.

        Raises:
            SnapshotImpossible: a column holds values of several types.
            RemoteUnavailable: the rows are kept here, but could not be shared; to save them again goes on from there.
        """
        content = _to_parquet(frame, meta)
        path = self._path(model, digest_of(content))
        with self.writing():
            if _dvc_file(path).is_file():
                _dvc_file(path).touch()  # whoever clears up takes it for new again
            else:
                self._write(path, content)
            self._bring(path)
        return _describe(path)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock of the writers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            yield

    def remove(self, model: str, digest: str) -> None:
        """Remove a snapshot, and DVC's copy of it; the caller holds the lock. What a killed writer left goes too.

        Raises:
            RemoteUnavailable: the shared place cannot be asked; the snapshot is still there, or only its bytes are.
        """
        path = self._path(model, digest)
        if self.remote is not None:
            self.remote.remove(_name(_dvc_file(path)))
            self.remote.remove(_name(path))
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
            RemoteUnavailable: it is not here, and the shared place cannot be asked.
        """
        path = self._path(model, digest)
        if not path.is_file():
            self._fetch(model, digest)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SnapshotNotFound(model, digest, self.folder, self.shared) from error
        found = digest_of(content)
        if found != digest:
            raise SnapshotCorrupt(path, found, shared=self.remote is not None)
        table = pq.read_table(io.BytesIO(content))
        return table.to_pandas(), _meta(table.schema)

    def get(self, model: str, digest: str) -> Snapshot:
        """Return what is known of a snapshot, without its rows.

        Raises:
            SnapshotNotFound: there is no such snapshot.
            RemoteUnavailable: it is not here, and the shared place cannot be asked.
        """
        path = self._path(model, digest)
        if not _dvc_file(path).is_file() and not self._fetch(model, digest):
            raise SnapshotNotFound(model, digest, self.folder, self.shared)
        return _describe(path)

    def list(self, model: str) -> list[Snapshot]:
        """Return the snapshots of a model, oldest first; those that are only in the shared place are fetched.

        Raises:
            SnapshotCorrupt: the shared place holds other bytes than a name promises.
            RemoteUnavailable: the shared place cannot be asked.
        """
        for digest in self._only_there(model):
            self._fetch(model, digest)
        return [_describe(path) for path in self._here(model)]

    def find(self, model: str, wanted: Callable[[Snapshot], bool]) -> Snapshot | None:
        """Return the oldest snapshot that is ``wanted``: one that is here, before the shared place is asked. Raises as ``list``."""
        here = (_describe(path) for path in self._here(model))
        found = next((one for one in here if wanted(one)), None)
        if found is not None or self.remote is None:
            return found
        return next((one for one in self.list(model) if wanted(one)), None)

    def leftovers(self) -> builtins.list[Path]:
        """Return the folders that a killed process has left while it fetched something."""
        return sorted(self.folder.glob(f"{FETCHED}*"))

    def _here(self, model: str) -> builtins.list[Path]:
        """Return the rows of the snapshots that are in the folder, oldest first."""
        files = sorted((self.folder / model).glob("*.parquet.dvc"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        return [path.with_suffix("") for path in files]

    def _only_there(self, model: str) -> builtins.list[str]:
        """Return the digests of the snapshots that the shared place has and the folder has not."""
        names = self.remote.names(model) if self.remote is not None else []
        digests = [match[1] for name in names if (match := _SHARED.fullmatch(name.removeprefix(f"{model}/")))]
        return [digest for digest in digests if not _dvc_file(self._path(model, digest)).is_file()]

    def _bring(self, path: Path) -> None:
        """Bring a snapshot to the shared place, what DVC knows of it last. It is written anew even where it is: so it counts as new."""
        if self.remote is None:
            return
        dvc_file = _dvc_file(path)
        if self.remote.made(_name(dvc_file)) is None:
            self.remote.write(_name(path), path.read_bytes())
        self.remote.write(_name(dvc_file), dvc_file.read_bytes())

    def _fetch(self, model: str, digest: str) -> bool:
        """Have a snapshot from the shared place, every byte checked; False if it is not there."""
        path = self._path(model, digest)
        if self.remote is None or not _DIGEST.fullmatch(digest):
            return False
        made, known = self.remote.made(_name(_dvc_file(path))), self.remote.read(_name(_dvc_file(path)))
        content = self.remote.read(_name(path)) if known is not None else None
        if made is None or known is None or content is None:
            return False
        _require_sealed(f"{self.remote.url}/{_name(path)}", digest, content, known)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not among the incoming: who fetches holds no lock, and writers clear that folder.
        with TemporaryDirectory(prefix=FETCHED, dir=self.folder) as draft:
            fresh = Path(draft, path.name)
            write_through(fresh, content)
            fresh.chmod(0o444)
            write_through(_dvc_file(fresh), known)
            os.utime(_dvc_file(fresh), (made, made))
            fresh.replace(path)
            _dvc_file(fresh).replace(_dvc_file(path))
        sync_folder(path.parent)
        return True

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


def _require_sealed(where: str, digest: str, content: bytes, known: bytes) -> None:
    """Refuse rows that are not those of the digest, or that DVC knows under another name."""
    found = digest_of(content)
    if found != digest:
        raise SnapshotCorrupt(where, found, shared=True)
    try:
        named = _md5_in(known)
    except (yaml.YAMLError, TypeError, LookupError) as error:
        raise SnapshotCorrupt(f"{where}.dvc", digest_of(known), shared=True) from error
    if named != hashlib.md5(content, usedforsecurity=False).hexdigest():
        raise SnapshotCorrupt(f"{where}.dvc", digest_of(known), shared=True)


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
    return _md5_in(_dvc_file(path).read_bytes())


def _md5_in(known: bytes) -> str:
    md5: str = yaml.safe_load(known)["outs"][0]["md5"]
    return md5


def _meta(schema: pa.Schema) -> dict[str, Any]:
    return msgspec.json.decode(schema.metadata[META_KEY], type=dict[str, Any])


def _name(path: Path) -> str:
    """Return the name of a file in the shared place."""
    return f"{path.parent.name}/{path.name}"


def _dvc_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.dvc")
