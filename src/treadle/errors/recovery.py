"""Failures of backups: one cannot be made, is not whole, or cannot be laid out where it should go."""

from collections.abc import Sequence
from pathlib import Path

from treadle.errors.base import TreadleError


class BackupRefused(TreadleError):
    """A backup cannot go where it is wanted."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"No backup is made at {folder}: {reason}.",
            fix="Name a folder that does not exist yet, outside the workspace: `treadle backup DEST`.",
        )


class BackupFailed(TreadleError):
    """A backup could not be finished; nothing of it is left."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"The backup at {folder} could not be finished: {reason}. Nothing of it is left there.",
            fix="See that the disk has room and can be written, or name another place: `treadle backup DEST`.",
        )


class BackupNotFound(TreadleError):
    """A folder is no backup."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"{folder} is no backup: {reason}.",
            fix="Name the folder that `treadle backup DEST` has made: `treadle restore DEST`.",
        )


class BackupNewer(TreadleError):
    """A backup was made by a newer Treadle, which keeps things that this one does not know."""

    def __init__(self, folder: Path, what: str, known: str) -> None:
        super().__init__(
            f"The backup {folder} is newer than this Treadle: it has {what}, and this one reads up to {known}.",
            fix=f"Install the Treadle that made it, or a later one; then `treadle restore {folder}`.",
        )


class BackupDamaged(TreadleError):
    """Files of a backup are missing, or are not those that were written."""

    exit_code = 3

    def __init__(self, folder: Path, problems: Sequence[str]) -> None:
        super().__init__(
            f"The backup {folder} is damaged, so nothing was restored.",
            problems=problems,
            fix="Take another copy of it, or an older backup: `treadle restore SOURCE`.",
        )


class RestoreRefused(TreadleError):
    """The place where a backup should go holds something already."""

    def __init__(self, root: Path, problems: Sequence[str]) -> None:
        super().__init__(
            f"Nothing was restored: what {root} and its settings name is not empty.",
            problems=problems,
            fix="Name a folder that is: `treadle restore SOURCE --into FOLDER`; its own treadle.toml, or TREADLE_STORE_URL and the like, "
            "say where else things go. What is there goes for good with `treadle reset`.",
        )


class RestoreFailed(TreadleError):
    """A restore could not be finished."""

    def __init__(self, root: Path, reason: str) -> None:
        super().__init__(
            f"The restore into {root} could not be finished: {reason}.",
            fix="Mend that, then type the same `treadle restore` again: it begins anew.",
        )


class RestoreRunning(TreadleError):
    """Another process restores into this place."""

    def __init__(self, home: Path) -> None:
        super().__init__(f"Another process restores into {home} right now.", fix="Wait for it, then look with `treadle status`.")


class RestoreUnfinished(TreadleError):
    """A restore was ended before it was done: what is there is half of something."""

    def __init__(self, home: Path, source: str) -> None:
        super().__init__(
            f"{home} is half restored: the restore from {source} was ended before it was done.",
            fix=f"Begin it anew, which clears what is there: `treadle restore {source}`.",
        )
