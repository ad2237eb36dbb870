"""What a backup says of itself: when it was made and by whom, what is in it, and the SHA-256 of every file."""

import hashlib
from pathlib import Path
from typing import Self

import msgspec

from treadle.errors import BackupDamaged, BackupNewer, BackupNotFound
from treadle.spec import canonical_json

FORMAT = 1
NAME = "manifest.json"
"""Written last: a folder without it is no backup."""


class Entry(msgspec.Struct, frozen=True):
    """What one file must be, and with which permissions and time of change (ns) it is laid out again."""

    sha256: str
    size: int
    mode: int
    mtime: int


class Waiting(msgspec.Struct, frozen=True):
    """What was on its way to the store: records of the copied spool that the copied store does not have yet."""

    predictions: int = 0
    labels: int = 0
    others: int = 0

    @property
    def total(self) -> int:
        """How many records that are."""
        return self.predictions + self.labels + self.others


class Last(msgspec.Struct, frozen=True):
    """The last event of the copied chain; number 0 where nothing had happened."""

    seq: int = 0
    hash: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a backup. Times are epoch seconds.

    ``as_of`` is when it began: what was answered before is in it. ``home`` is where the workspace kept its state, under which MLflow
    knows its files. ``trouble`` says why the chain of events could not be verified; it is empty where it was. ``damaged`` names what
    was already damaged in the workspace, ``left_out`` what belongs to it and is not in the backup.
    """

    format: int = FORMAT
    id: str
    treadle: str
    revision: str | None
    by: str
    as_of: float
    made_at: float
    workspace: str
    home: str
    store: str
    tracking: str
    rows: dict[str, int]
    waiting: Waiting
    last: Last
    trouble: str
    damaged: list[str]
    left_out: list[str]
    files: dict[str, Entry]
    digest: str = ""

    def sealed(self) -> Self:
        """Return this manifest with the digest of all else that it says."""
        return msgspec.structs.replace(self, digest=self._digest())

    def whole(self) -> bool:
        """Tell whether nothing in it was changed since it was sealed."""
        return self.digest == self._digest()

    def to_bytes(self) -> bytes:
        """Return what is written."""
        return canonical_json(msgspec.to_builtins(self))

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.files.values())

    def _digest(self) -> str:
        return hashlib.sha256(msgspec.structs.replace(self, digest="").to_bytes()).hexdigest()


class _Kind(msgspec.Struct):
    format: int


def read(folder: Path) -> Manifest:
    """Return the manifest of the backup in ``folder``.

    Raises:
        BackupNotFound: there is none.
        BackupNewer: it is of a format that only a newer Treadle knows.
        BackupDamaged: it is not what was written.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BackupNotFound(folder, f"it holds no {NAME} that can be read ({error.strerror})") from error
    try:
        kind = msgspec.json.decode(content, type=_Kind)
        if kind.format > FORMAT:
            raise BackupNewer(folder, f"format {kind.format}", f"format {FORMAT}")
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BackupDamaged(folder, [f"{NAME}: {error}"]) from error
    if not manifest.whole():
        raise BackupDamaged(folder, [f"{NAME}: it has been changed since it was written"])
    return manifest
