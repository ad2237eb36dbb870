"""A whole workspace as one folder, made while it serves.

The order is what makes it one: first the signed heads and the spool, then the store, then MLflow, then the files that these name.
So what is named is copied after its name, and what was answered is copied where it waited before it is looked for where it goes.
Only `treadle gc` takes anything away, and it waits until the backup is done.
"""

import sqlite3
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.exc import DBAPIError

import treadle
from treadle.bundle.durable import sync_folder, write_through
from treadle.bundle.manifest import MANIFEST_FILE
from treadle.bundle.place import BundlePlace
from treadle.data.snapshot import SnapshotPlace
from treadle.errors import (
    BackupFailed,
    BackupRefused,
    BundleCorrupt,
    BundleInvalid,
    BundleNotFound,
    StoreUnavailable,
    TrackingUnavailable,
    TreadleError,
)
from treadle.identity.pseudonyms import KEY_FILE
from treadle.recovery import databases, spooled, tracking
from treadle.recovery.files import PRIVATE, Carrier, alone, files, remove, sync_all
from treadle.recovery.manifest import NAME, Last, Manifest, Waiting
from treadle.retention.collection import uncollected
from treadle.retention.inventory import Ground
from treadle.serving.spool import segments as segments_of
from treadle.settings import MARKER, Workspace
from treadle.spec.addresses import without_secrets
from treadle.state import deployments, events, heads, migrations
from treadle.state.store import Store
from treadle.times import when

STORE = "state.db"
TRACKING = "mlflow.db"
BUNDLES, SNAPSHOTS, ARTEFACTS, AUDIT, PROJECTS, REPORTS, KEYS = (
    "bundles",
    "data",
    "mlartifacts",
    "audit",
    "projects",
    "reports",
    "keys.json",
)

NOT_KEPT = "downloads, logs and metrics of the home folder: they are made anew"


@dataclass(frozen=True)
class Made:
    """A backup that was made: where, what it says of itself, and how long it took in seconds."""

    folder: Path
    manifest: Manifest
    seconds: float


def make(ground: Ground, destination: Path, *, by: str, clock: Callable[[], float] = time.time) -> Made:
    """Make a backup at ``destination``, a folder that is not there or empty.

    Raises:
        BackupRefused: something is there, or it lies inside what is copied.
        BackupFailed: it could not be written; nothing of it is left.
        BundleNotFound, BundleCorrupt: a version that has a role now could not be served from this backup.
        StoreUnavailable, TrackingUnavailable: a database is away or damaged.
    """
    began = time.monotonic()
    destination = destination.expanduser().absolute()
    _require_free(destination, ground.workspace)
    try:
        with _unfinished(destination) as folder:
            with uncollected(ground.workspace.home):
                manifest = _filled(ground, folder, by=by, clock=clock)
            write_through(folder / NAME, manifest.to_bytes())
            sync_all(folder)
            folder.rename(destination)
        sync_folder(destination.parent)
    except (OSError, sqlite3.Error, DBAPIError) as error:
        raise BackupFailed(destination, str(error)) from error
    except (StoreUnavailable, TrackingUnavailable) as error:
        if _working(destination).name not in error.what:
            raise
        raise BackupFailed(destination, error.what) from error  # the copy, not the database that is copied
    with ground.store.write() as conn:
        told = {"folder": str(destination), "id": manifest.id, "as_of": manifest.as_of, "last": manifest.last.seq, "bytes": manifest.size}
        events.append(conn, "backup.made", at=clock(), actor=by, data=told)
    return Made(destination, manifest, time.monotonic() - began)


def _filled(ground: Ground, folder: Path, *, by: str, clock: Callable[[], float]) -> Manifest:
    """Copy everything into ``folder``, in the order that makes it one."""
    place, carrier = ground.workspace, Carrier(folder)
    heads.sign(ground.store, place.home, at=clock())
    # A head that is signed later than the store is copied would prove events that the copy does not have.
    for path in [*sorted((place.home / AUDIT).glob("heads*.jsonl")), heads.key_file(place.home)]:
        carrier.file(path, f"{AUDIT}/{path.name}", mode=PRIVATE)
    as_of = clock()
    segments = spooled.copy(place.spool_dir, carrier)
    segments = spooled.drop_shipped(place.spool_dir, carrier, segments)
    databases.save_store(ground.store, place.store_url, folder / STORE)
    left_out = [NOT_KEPT, *_tracking(place, carrier)]
    copy = Store(databases.url_of(folder / STORE))
    try:
        read = _Read.of(copy, place, segments)
        damaged = [*_bundles(ground.bundles, carrier, read.roles), *_snapshots(ground.snapshots, carrier)]
        trouble = _trouble(copy, folder)
    finally:
        copy.close()
    carrier.note(STORE)
    carrier.tree(place.home / ARTEFACTS, ARTEFACTS)
    carrier.tree(place.home / REPORTS, REPORTS)
    carrier.file(place.home / KEYS, KEYS, mode=PRIVATE)
    carrier.file(place.home / KEY_FILE, KEY_FILE, mode=PRIVATE)
    carrier.tree(place.projects_dir, PROJECTS)
    carrier.write(MARKER, _settings(place.root / MARKER))
    if read.elsewhere:
        left_out.append(f"what {read.elsewhere} segments in the spools of other hosts still hold")
    return Manifest(
        id=str(uuid.uuid4()),
        treadle=treadle.__version__,
        revision=read.revision,
        by=by,
        as_of=as_of,
        made_at=clock(),
        workspace=place.root.name,
        home=str(place.home),
        store=ground.store.url,
        tracking=without_secrets(place.tracking_url),
        rows=read.rows,
        waiting=read.waiting,
        last=read.last,
        trouble=trouble,
        damaged=damaged,
        left_out=left_out,
        files=dict(sorted(carrier.entries.items())),
    ).sealed()


@dataclass(frozen=True)
class _Read:
    """What stands in the copied store: ``roles`` are the bundles that have a role now."""

    revision: str | None
    rows: dict[str, int]
    waiting: Waiting
    elsewhere: int
    last: Last
    roles: frozenset[str]

    @classmethod
    def of(cls, copy: Store, place: Workspace, segments: list[Path]) -> "_Read":
        """Read it. Segments that this host has begun since are not those of another one."""
        mine = {path.stem for path in [*segments, *segments_of(place.spool_dir)]}
        with copy.read() as conn:
            last = events.newest(conn, 1)
            current = [deployments.current(conn, model) for model in deployments.generations(conn)]
            return cls(
                migrations.current(conn),
                databases.counts(conn),
                spooled.waiting(conn, segments),
                spooled.elsewhere(conn, mine),
                Last(last[0].seq, last[0].hash) if last else Last(),
                frozenset(slot.digest for one in current if one is not None for slot in one.slots),
            )


def _tracking(place: Workspace, carrier: Carrier) -> list[str]:
    """Copy MLflow's database, if it is one; return a sentence where it is not."""
    outside = tracking.left_out(place)
    if outside or not tracking.exists(place):
        return [outside] if outside else []
    tracking.save(place.tracking_url, carrier.folder / TRACKING)
    carrier.note(TRACKING)
    return []


def _bundles(place: BundlePlace, carrier: Carrier, roles: frozenset[str]) -> list[str]:
    """Copy every bundle, each byte checked; return a line for each damaged one that has no role.

    Raises:
        BundleNotFound, BundleCorrupt, BundleInvalid: one that has a role is missing or damaged.
    """
    damaged = []
    for digest in sorted({*place.digests(), *roles}):
        try:
            _bundle(place, digest, carrier)
        except (BundleCorrupt, BundleInvalid, BundleNotFound) as error:
            if digest in roles:
                raise
            damaged.append(error.what)
    return damaged


def _bundle(place: BundlePlace, digest: str, carrier: Carrier) -> None:
    place.fetch(digest)  # where hosts share a place it may be only there
    listing = place.listing(digest)
    for name, wanted in listing.files.items():
        found = carrier.file(place.folder / digest / name, f"{BUNDLES}/{digest}/{name}")
        if found is None or (found.sha256, found.size) != (wanted.sha256, wanted.size):
            seen = f"SHA-256 {found.sha256} of {found.size} bytes" if found else "no file"
            raise BundleCorrupt(digest, name, expected=f"SHA-256 {wanted.sha256} of {wanted.size} bytes", found=seen)
    found = carrier.file(place.folder / digest / MANIFEST_FILE, f"{BUNDLES}/{digest}/{MANIFEST_FILE}")
    if found is None or found.sha256 != digest:
        raise BundleCorrupt(digest, MANIFEST_FILE, expected=f"SHA-256 {digest}", found=f"SHA-256 {found.sha256}" if found else "no file")


def _snapshots(place: SnapshotPlace, carrier: Carrier) -> list[str]:
    """Copy the snapshots with what DVC knows of them; return a line for each that is damaged."""
    folder, damaged = place.folder, []
    for model in sorted({name.partition("/")[0] for name in place.remote.names()} if place.remote else ()):
        place.list(model)  # fetches those that are only in the place that hosts share
    for pointer in sorted(folder.glob("*/*.parquet.dvc")):
        # A snapshot exists once this file does; the rows and DVC's copy of them are there before it.
        rows = pointer.with_suffix("")
        name = f"{SNAPSHOTS}/{rows.parent.name}/{rows.name}"
        carrier.file(pointer, f"{name}.dvc")
        found = carrier.file(rows, name, link=True)
        if found is None or found.sha256 != rows.stem:
            damaged.append(f"The snapshot {rows} is {'changed' if found else 'missing'}.")
    for path in files(folder / ".dvc" / "cache"):
        carrier.file(path, f"{SNAPSHOTS}/{path.relative_to(folder).as_posix()}", link=True)
    carrier.file(folder / ".dvc" / "config", f"{SNAPSHOTS}/.dvc/config")
    return damaged


def _trouble(copy: Store, folder: Path) -> str:
    """Check the copied chain against the copied heads; return what is wrong with it, in a sentence."""
    try:
        heads.audit(copy, folder)
    except TreadleError as error:
        return error.sentence
    finally:
        (folder / AUDIT / "heads.lock").unlink(missing_ok=True)
    return ""


def _settings(path: Path) -> bytes:
    """Return the settings without passwords: where one stood stands ***. Comments stay where no password was."""
    content = path.read_text(encoding="utf-8")
    given: dict[str, Any] = tomllib.loads(content)
    shown = {key: without_secrets(value) if isinstance(value, str) else value for key, value in given.items()}
    if shown == given:
        return content.encode()
    # A string of JSON is one of TOML too.
    return "".join(f"{key} = {msgspec.json.encode(value).decode()}\n" for key, value in shown.items()).encode()


def _require_free(destination: Path, place: Workspace) -> None:
    for inside in (place.home, place.projects_dir, place.bundle_dir):
        if destination.resolve().is_relative_to(inside.resolve()):
            raise BackupRefused(destination, f"it lies in {inside}, which is copied")
    if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
        raise BackupRefused(destination, "there is a file of this name")
    if destination.is_dir() and any(destination.iterdir()):
        what = f"a backup of {when((destination / NAME).stat().st_mtime)}" if (destination / NAME).is_file() else "something"
        raise BackupRefused(destination, f"it holds {what} already")


def _working(destination: Path) -> Path:
    return destination.with_name(f".{destination.name}.unfinished")


@contextmanager
def _unfinished(destination: Path) -> Iterator[Path]:
    """Give a folder beside ``destination`` in which one backup at a time is made. What a killed one has left is cleared away."""
    folder = _working(destination)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(folder) as got:
        if not got:
            raise BackupRefused(destination, "another backup is being made there")
        for path in folder.iterdir():
            remove(path)
        folder.chmod(0o700)
        try:
            yield folder
        except BaseException:
            with suppress(OSError):
                remove(folder)
            raise
