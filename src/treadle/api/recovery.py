"""Carry a workspace away, and make one of what was carried: backup, restore."""

from pathlib import Path
from typing import TYPE_CHECKING

from treadle.api.opening import Place, acting, opened

if TYPE_CHECKING:
    from treadle.recovery.backup import Made
    from treadle.recovery.restore import Restored


def backup(destination: Path | str, *, workspace: Place = None) -> "Made":
    """Make a backup of a whole workspace as one folder, while it serves. What was answered before it began is in it.

    Args:
        destination: the folder of the backup, which must not be there yet, or be empty.
        workspace: where; without it, the workspace of the current folder.

    Raises:
        BackupRefused: something is there already, or it lies inside the workspace's own folders.
        BackupFailed: it could not be written; nothing of it is left.
        BundleNotFound, BundleCorrupt: a version that has a role now could not be served from this backup.
        RoleMissing: you act by a key that is no admin's.
    """
    from treadle.recovery.backup import make
    from treadle.retention.inventory import Ground

    with opened(workspace) as (place, store):
        return make(Ground(place, store), Path(destination), by=acting(place, "admin").name)


def restore(source: Path | str, *, into: Path | str | None = None) -> "Restored":
    """Make a workspace of a backup, in a place that holds nothing yet. Its settings say where everything goes, be it another database.

    Args:
        source: the folder of a backup.
        into: the folder of the workspace; its own ``treadle.toml`` counts, or else that of the backup. Without it, the workspace of the
            current folder, or that folder itself.

    Raises:
        BackupNotFound, BackupNewer, BackupDamaged: the source cannot be restored; nothing was touched.
        RestoreRefused: the place holds something; nothing was touched.
        RestoreFailed: it broke off. The place says that it is half restored; the same call begins anew.
    """
    from treadle.identity import os_user
    from treadle.recovery.restore import restore as lay_out

    return lay_out(Path(source), Path(into) if into is not None else None, by=os_user())
