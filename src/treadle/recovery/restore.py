"""A workspace made of a backup, in a place that holds nothing yet.

All of it is made ready beside the home folder first. While that folder is there the workspace says that it is half restored, and
a second try takes away what the first one has laid out and begins anew. What is noted there was not there before, so it is ours.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError

from treadle.bundle.durable import sync_folder, write_through
from treadle.bundle.place import BundlePlace
from treadle.bundle.remote import Remote
from treadle.errors import BackupDamaged, BackupNewer, RestoreFailed, RestoreRefused, RestoreRunning, WorkspaceNotFound
from treadle.recovery import backup, databases, manifest, tracking
from treadle.recovery.files import alone, files, lay, lay_file, problems, remove, sync_all
from treadle.recovery.manifest import Manifest
from treadle.recovery.marker import NOTES, marker
from treadle.settings import MARKER, Workspace, load_settings
from treadle.spec.addresses import without_secrets
from treadle.state import deployments, events, heads, migrations
from treadle.state.heads import Audit
from treadle.state.store import Store, open_store

SHOWN = 5
"""Names of what stands in the way that are told."""


@dataclass(frozen=True)
class Restored:
    """A workspace that was restored, and the backup that it was made of.

    ``audit`` is what a check of its events says, None where the workspace had trouble with them when the backup was made. ``kept``
    names what was there already and stayed, ``left_out`` what the backup holds and these settings leave no place for.
    """

    root: Path
    home: Path
    manifest: Manifest
    audit: Audit | None
    kept: tuple[str, ...]
    left_out: tuple[str, ...]
    seconds: float


class _Notes(msgspec.Struct):
    """What a restore has begun to lay out; each thing is noted before it is there. ``source`` is where it is restored from."""

    source: str
    seq: int
    hash: str
    home: bool = False
    settings: bool = False
    store: bool = False
    tracking: bool = False
    projects: list[str] = msgspec.field(default_factory=list)


def restore(source: Path, into: Path | None = None, *, by: str, clock: Callable[[], float] = time.time) -> Restored:
    """Lay a backup out in the workspace at ``into``, or in that of the current folder; where there is none, in the folder itself.

    Raises:
        BackupNotFound, BackupNewer, BackupDamaged: the source is none that can be restored. Nothing was touched.
        RestoreRefused: the place holds something. Nothing was touched.
        RestoreRunning: another process restores into it.
        RestoreFailed, StoreUnavailable, TrackingUnavailable: it broke off; the same call begins anew.
    """
    began = time.monotonic()
    source = source.expanduser().absolute()
    told = manifest.read(source)
    if told.revision is not None and told.revision not in migrations.known():
        raise BackupNewer(source, f"revision {told.revision} of the state", f"revision {migrations.HEAD}")
    if found := problems(source, told):
        raise BackupDamaged(source, found)
    place = _place(source, into)
    site = _Site(place, source, told)
    try:
        with site.working():
            site.undo()
            site.require_empty()
            audit = site.lay_out()
            store = open_store(place.store_url)
            try:
                with heads.signed(store, place.home), store.write() as conn:
                    facts = {"id": told.id, "source": str(source), "as_of": told.as_of, "last": told.last.seq, "from": told.store}
                    events.append(conn, "backup.restored", at=clock(), actor=by, data=facts)
            finally:
                store.close()
    except (OSError, ValueError, sqlite3.Error, SQLAlchemyError) as error:
        raise RestoreFailed(place.root, str(error)) from error
    return Restored(place.root, place.home, told, audit, tuple(site.kept), tuple(site.left_out), time.monotonic() - began)


def _place(source: Path, into: Path | None) -> Workspace:
    """Return the workspace to be: by its own settings if it has some, else by those of the backup."""
    if into is None:
        try:
            return Workspace.find()
        except WorkspaceNotFound:
            into = Path.cwd()
    root = into.expanduser().absolute().resolve()
    own = root / MARKER
    return Workspace(root, load_settings(own if own.is_file() else source / MARKER))


class _Site:
    """The place of a restore: what is there, what is made ready, and what was laid out."""

    def __init__(self, place: Workspace, source: Path, told: Manifest) -> None:
        self.place = place
        self.kept: list[str] = []
        self.left_out: list[str] = []
        self._source = source
        self._told = told
        self._folder = marker(place.home)
        self._notes = _Notes(str(source), told.last.seq, told.last.hash)
        self._store_file = databases.file_of(place.store_url)
        self._tracking_file = databases.file_of(place.tracking_url) if tracking.is_database(place.tracking_url) else None

    @contextmanager
    def working(self) -> Iterator[None]:
        """Hold the folder in which the restore works. It goes when all is done, or when nothing was laid out yet."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(self._folder) as got:
            if not got:
                raise RestoreRunning(self.place.home)
            try:
                yield
            except BaseException:
                if not (self._folder / NOTES).exists():
                    remove(self._folder)
                raise
            remove(self._folder)

    def undo(self) -> None:
        """Take away what an earlier try has laid out.

        Raises:
            RestoreRefused: somebody has gone on with it since.
        """
        path = self._folder / NOTES
        if not path.exists():
            self._clear_folder()
            return
        left = msgspec.json.decode(path.read_bytes(), type=_Notes)
        if left.store:
            self._undo_store(left)
        if left.tracking:
            self._undo_tracking()
        for name in left.projects:
            remove(self.place.projects_dir / name)
        if left.home:
            remove(self.place.home)
        if left.settings:
            remove(self.place.root / MARKER)
        self._clear_folder()

    def require_empty(self) -> None:
        """Refuse a place that holds something.

        Raises:
            RestoreRefused: it does; each thing is named.
        """
        found = [*self._in_home(), *self._in_store(), *self._in_tracking(), *self._in_projects()]
        if found:
            raise RestoreRefused(self.place.root, found)

    def lay_out(self) -> Audit | None:
        """Make everything ready, check it, and bring it into sight. Return what a check of the events says."""
        home = self._folder / "home"
        home.mkdir()
        self._note()
        self._ready(home)
        audit = self._checked(home, databases.url_of(home / backup.STORE))
        sync_all(self._folder)
        if self._store_file is None or not self._store_file.is_relative_to(self.place.home):
            audit = self._bring_store(home)
        self._bring_tracking(home)
        self._bring_projects()
        self._note(home=True)
        if self.place.home.is_dir():
            self.place.home.rmdir()  # empty: it was looked at
        home.rename(self.place.home)
        if not (self.place.root / MARKER).is_file():
            self._note(settings=True)
            lay_file(self._source / MARKER, self.place.root / MARKER, self._told.files[MARKER])
        sync_folder(self.place.root)
        sync_folder(self.place.home.parent)
        return audit

    # what is there

    def _in_home(self) -> list[str]:
        names = sorted(path.name for path in self.place.home.glob("*"))
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return [f"{self.place.home} holds {', '.join(names[:SHOWN])}{more}"] if names else []

    def _in_store(self) -> list[str]:
        if self._store_file is not None and not self._store_file.exists():
            return []
        store = Store(self.place.store_url)
        try:
            with store.read() as conn:
                rows = databases.counts(conn)
        finally:
            store.close()
        return [f"{store.url} holds {count} rows of the table {name}" for name, count in rows.items() if count]

    def _in_tracking(self) -> list[str]:
        url = self.place.tracking_url
        if backup.TRACKING not in self._told.files or not tracking.is_database(url):
            return []
        return [] if self._tracking_file is not None and not self._tracking_file.exists() else tracking.held(url)

    def _in_projects(self) -> list[str]:
        """Return the projects that are there and are not those of the backup."""
        return [
            f"{self.place.projects_dir / name} is there, and differs from the backup's in {differs}"
            for name in self._projects()
            if (self.place.projects_dir / name).exists() and (differs := self._difference(name))
        ]

    def _projects(self) -> list[str]:
        """Return what lies in the folder of projects of the backup."""
        return sorted({name.split("/")[1] for name in self._told.files if name.startswith(f"{backup.PROJECTS}/")})

    def _difference(self, project: str) -> str:
        """Return the first file in which a project that is there differs; nothing where it is the same."""
        room = f"{backup.PROJECTS}/{project}"
        wanted = {name for name in self._told.files if name == room or name.startswith(f"{room}/")}
        here = self.place.projects_dir / project
        there = {f"{room}/{path.relative_to(here).as_posix()}" for path in files(here)} if here.is_dir() else {room}
        changed = [
            name
            for name in sorted(wanted & there)
            if (self.place.root / "projects" / name.removeprefix(f"{backup.PROJECTS}/")).read_bytes() != (self._source / name).read_bytes()
        ]
        return next(iter([*changed, *sorted(wanted ^ there)]), "").removeprefix(f"{room}/")

    # what is made ready

    def _ready(self, home: Path) -> None:
        """Lay out in ``home`` all that a home folder holds, with the addresses in MLflow as they will be."""
        for room in (backup.SNAPSHOTS, backup.ARTEFACTS, backup.AUDIT, backup.REPORTS, "spool"):
            lay(self._source, home / room, self._told, room)
        bundles = self.place.bundle_dir
        inside = bundles.is_relative_to(self.place.home)
        self._lay_bundles(home / bundles.relative_to(self.place.home) if inside else bundles)
        for name in (backup.STORE, backup.TRACKING, backup.KEYS):
            if name in self._told.files:
                lay_file(self._source / name, home / name, self._told.files[name])
        store = open_store(databases.url_of(home / backup.STORE))  # takes the steps that the schema has learned since
        try:
            databases.end_leases(store)
            self._share(store, home / bundles.relative_to(self.place.home) if inside else bundles)
        finally:
            store.close()
        if (home / backup.TRACKING).is_file():
            tracking.relocate(home / backup.TRACKING, Path(self._told.home), self.place.home)

    def _share(self, store: Store, folder: Path) -> None:
        """Bring the bundles that have a role to the place that hosts share, if the settings name one."""
        place = BundlePlace(folder, Remote.of(self.place, "bundles"))
        with store.read() as conn:
            current = [deployments.current(conn, model) for model in deployments.generations(conn)]
        for digest in sorted({slot.digest for one in current if one is not None for slot in one.slots}):
            place.share(digest)

    def _lay_bundles(self, folder: Path) -> None:
        """Lay the bundles out, each whole or not at all; one that is there already has the same bytes, because its name says so."""
        names = {name.split("/")[1] for name in self._told.files if name.startswith(f"{backup.BUNDLES}/")}
        for digest in sorted(names):
            if not (folder / digest).exists():
                draft = folder / f".draft-restored-{digest}"
                remove(draft)
                lay(self._source, draft, self._told, f"{backup.BUNDLES}/{digest}")
                draft.rename(folder / digest)

    def _checked(self, home: Path, url: str) -> Audit | None:
        """Check the events of a store against the heads in ``home``, unless they were in trouble when the backup was made."""
        if self._told.trouble:
            return None
        store = Store(url)
        try:
            return heads.audit(store, home)
        finally:
            store.close()

    # what is brought into sight

    def _bring_store(self, home: Path) -> Audit | None:
        """Bring the state to where the settings want it, outside the home folder."""
        self._note(store=True)
        if self._store_file is not None:
            _move(home / backup.STORE, self._store_file)
        else:
            store = open_store(self.place.store_url)
            try:
                databases.load_store(home / backup.STORE, store)
            finally:
                store.close()
            remove(home / backup.STORE)
        return self._checked(home, self.place.store_url)

    def _bring_tracking(self, home: Path) -> None:
        """Bring MLflow's rows to where the settings want them."""
        path, url = home / backup.TRACKING, self.place.tracking_url
        if not path.is_file() or self._tracking_file == self.place.home / backup.TRACKING:
            return
        if not tracking.is_database(url):
            self.left_out.append(
                f"MLflow's rows: tracking_url names {without_secrets(url)}, which is no database; they stay in {self._source}"
            )
            remove(path)
            return
        kept = path.rename(self._folder / backup.TRACKING)  # says which tables are MLflow's, if this has to be undone
        self._note(tracking=True)
        if self._tracking_file is not None:
            self._tracking_file.parent.mkdir(parents=True, exist_ok=True)
            databases.copy_file(kept, self._tracking_file)
        else:
            tracking.load(kept, url)

    def _bring_projects(self) -> None:
        """Lay out the projects that are not there."""
        for name in self._projects():
            if (self.place.projects_dir / name).exists():
                self.kept.append(f"the project {name}, which is the same")
                continue
            room = f"{backup.PROJECTS}/{name}"
            self._note(project=name)
            if room in self._told.files:
                self.place.projects_dir.mkdir(parents=True, exist_ok=True)
                lay_file(self._source / room, self.place.projects_dir / name, self._told.files[room])
            else:
                lay(self._source, self.place.projects_dir / name, self._told, room)

    # what is undone

    def _undo_store(self, left: _Notes) -> None:
        if self._store_file is not None:
            for ending in ("", "-wal", "-shm"):
                remove(self._store_file.with_name(f"{self._store_file.name}{ending}"))
            return
        store = Store(self.place.store_url)
        try:
            with store.read() as conn:
                if not inspect(conn).has_table("events"):
                    return
                since, last = events.after(conn, left.seq), events.after(conn, left.seq - 1, limit=1)
            gone_on = [event.kind for event in since if event.kind != "backup.restored"]
            if gone_on or (last and last[0].hash != left.hash):
                raise RestoreRefused(self.place.root, [f"{store.url} was half restored, and has been written since"])
            databases.clear(store)
        finally:
            store.close()

    def _undo_tracking(self) -> None:
        kept = self._folder / backup.TRACKING
        if self._tracking_file is not None:
            remove(self._tracking_file)
        elif kept.is_file():
            tracking.clear(kept, self.place.tracking_url)

    # the notes

    def _note(self, *, project: str = "", **done: bool) -> None:
        """Note what is done next, so that it can be undone."""
        if project:
            self._notes.projects.append(project)
        for name, value in done.items():
            setattr(self._notes, name, value)
        half = self._folder / f"{NOTES}.new"
        write_through(half, msgspec.json.encode(self._notes))
        half.rename(self._folder / NOTES)
        sync_folder(self._folder)

    def _clear_folder(self) -> None:
        """Remove what was made ready; the notes last, for what they tell of must be gone first."""
        for path in sorted(self._folder.iterdir(), key=lambda path: path.name == NOTES):
            remove(path)


def _move(source: Path, target: Path) -> None:
    """Move a database to another folder, perhaps on another disk: whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.half")
    databases.copy_file(source, half)
    half.rename(target)
    remove(source)
