"""The folder beside a home folder in which a restore works; while it is there, the workspace is half restored and says so."""

import json
from pathlib import Path

from treadle.errors import RestoreUnfinished

NOTES = "restore.json"


def marker(home: Path) -> Path:
    """Return the folder in which a restore into ``home`` works."""
    return home.with_name(f"{home.name}.restoring")


def require_whole(home: Path) -> None:
    """Refuse a workspace that a killed restore has left.

    Raises:
        RestoreUnfinished: one has; the error names what it was restored from.
    """
    path = marker(home) / NOTES
    if not path.exists():
        return
    try:
        source = str(json.loads(path.read_text(encoding="utf-8"))["source"])
    except (OSError, ValueError, LookupError):
        source = "SOURCE"
    raise RestoreUnfinished(home, source)
