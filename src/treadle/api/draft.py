"""Draft a project out of a table: init."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.api.opening import Place, found
from treadle.errors import WorkspaceNotFound

if TYPE_CHECKING:
    from treadle.drafting.write import Drafted
    from treadle.settings import Workspace


def init(
    name: str,
    origin: str | Path,
    target: str | Sequence[str] | None = None,
    *,
    table: str | None = None,
    guess_target: bool = False,
    workspace: Place = None,
) -> "Drafted":
    """Look at a table and write a working project for it: contract, code, and a policy for demonstrations.

    What was assumed of each column is returned, and stands in the files as comments. A folder without ``treadle.toml`` becomes a workspace.
    A project that is there already is never written over.

    Args:
        name: name of the project, which is that of its model.
        origin: a CSV or Parquet file, its URL, or the SQLAlchemy URL of a database.
        target: the column to predict.
        table: which table of the database.
        guess_target: whether the target is guessed where none is named.
        workspace: where; without it, the workspace of the current folder.
    """
    from treadle.drafting.asked import Asked
    from treadle.drafting.write import draft

    targets = [] if target is None else [target] if isinstance(target, str) else list(target)
    asked = Asked(name, os.fspath(origin), targets[0] if targets else None, table)
    return draft(asked, targets, found_or_new(workspace), guess_target=guess_target)


def found_or_new(place: Place) -> "Workspace":
    """Return the workspace, or the one that the folder will become."""
    from treadle.settings import Settings, Workspace

    try:
        return found(place)
    except WorkspaceNotFound:
        named = os.environ.get("TREADLE_WORKSPACE")
        folder = Path(place) if isinstance(place, str | Path) else Path(named) if named else Path.cwd()
        return Workspace(folder.resolve(), Settings())
