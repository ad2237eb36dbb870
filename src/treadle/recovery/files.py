"""Files on their way into a backup and out of it: copied through to the disk, hashed on the way, checked against what they must be."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from treadle.bundle.durable import sync_folder
from treadle.recovery.manifest import Entry, Manifest

CHUNK = 1 << 20

PRIVATE = 0o600


class Carrier:
    """Copies files into ``folder`` and notes what each of them is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        self._linkable: dict[str, Path] = {}

    def file(self, source: Path, name: str, *, mode: int | None = None, link: bool = False) -> Entry | None:
        """Copy one file; None where it is not there (any more). ``link``: equal files that are given so become one file with two names."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            entry = copied(source, target, mode=mode)
        except FileNotFoundError:
            if source.exists():
                raise
            return None
        if link:
            _link(target, self._linkable.setdefault(entry.sha256, target))
        self.entries[name] = entry
        return entry

    def tree(self, source: Path, name: str, *, mode: int | None = None) -> None:
        """Copy all files below a folder; what goes away meanwhile is left out."""
        for path in files(source):
            self.file(path, f"{name}/{path.relative_to(source).as_posix()}", mode=mode)

    def write(self, name: str, content: bytes, *, mode: int = 0o640, mtime: int | None = None) -> None:
        """Write a file that is made here."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(mode)
        if mtime is not None:
            os.utime(target, ns=(mtime, mtime))
        self.note(name)

    def note(self, name: str) -> None:
        """Note a file that another hand has written into the folder."""
        target = self.folder / name
        with target.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        facts = target.stat()
        self.entries[name] = Entry(sha256, facts.st_size, facts.st_mode & 0o777, facts.st_mtime_ns)

    def forget(self, name: str) -> None:
        """Take a file out again."""
        (self.folder / name).unlink()
        del self.entries[name]


def copied(source: Path, target: Path, *, mode: int | None = None) -> Entry:
    """Copy one file through to the disk, with its permissions (or ``mode``) and its time of change."""
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        facts = os.fstat(reading.fileno())
        while chunk := reading.read(CHUNK):
            digest.update(chunk)
            writing.write(chunk)
        writing.flush()
        size = writing.tell()
        os.fchmod(writing.fileno(), given := facts.st_mode & 0o777 if mode is None else mode)
        os.utime(writing.fileno(), ns=(facts.st_mtime_ns, facts.st_mtime_ns))
        os.fsync(writing.fileno())
    return Entry(digest.hexdigest(), size, given, facts.st_mtime_ns)


def lay(source: Path, target: Path, manifest: Manifest, room: str) -> int:
    """Lay the files of one room of a backup out below ``target``, checked once more; return how many. Equal read-only files become one.

    Raises:
        ValueError: a file is not what it must be.
    """
    placed: dict[str, Path] = {}
    mine = {name: entry for name, entry in manifest.files.items() if name.startswith(f"{room}/")}
    for name, entry in mine.items():
        path = target / name.removeprefix(f"{room}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        lay_file(source / name, path, entry)
        if not entry.mode & 0o222:
            _link(path, placed.setdefault(entry.sha256, path))
    return len(mine)


def lay_file(source: Path, target: Path, entry: Entry) -> None:
    """Lay one file out, as it was.

    Raises:
        ValueError: it is not what it must be.
    """
    found = copied(source, target, mode=entry.mode)
    if (found.sha256, found.size) != (entry.sha256, entry.size):
        message = f"{source} has changed while it was read"
        raise ValueError(message)
    os.utime(target, ns=(entry.mtime, entry.mtime))


def problems(folder: Path, manifest: Manifest) -> list[str]:
    """Return a line for each file that is missing or is not the one that was written."""
    found = ((name, _problem(folder / name, entry)) for name, entry in sorted(manifest.files.items()))
    return [f"{name}: {problem}" for name, problem in found if problem]


def _problem(path: Path, entry: Entry) -> str:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != entry.size:
                return f"{size} bytes instead of {entry.size}"
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return error.strerror or str(error)
    return "" if sha256 == entry.sha256 else f"SHA-256 {sha256} instead of {entry.sha256}"


def files(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, in a stable order. Links are followed, but into no folder twice; caches of Python are left out."""
    seen: set[Path] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        folders[:] = sorted(name for name in folders if name != "__pycache__") if real not in seen else []
        if real not in seen:
            yield from (Path(place, name) for name in sorted(names) if Path(place, name).is_file())
        seen.add(real)


def sync_all(folder: Path) -> None:
    """Wait until the disk has the names in a folder and in all below it."""
    for place, _, _ in os.walk(folder):
        sync_folder(Path(place))


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Lock a folder as long as the block runs; False where another process has it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _link(path: Path, first: Path) -> None:
    if path != first:
        path.unlink()
        path.hardlink_to(first)
