"""Look at the data before a model does: validate."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.api.opening import Place, found

if TYPE_CHECKING:
    from treadle.data.validation.keep import Kept


def validate(model: str, *, file: Path | str | None = None, snapshot: str | None = None, seed: int = 42, workspace: Place = None) -> "Kept":
    """Check rows against contract and policy, and write the report; without ``file`` or ``snapshot``, the data of the contract.

    Args:
        model: name of the project.
        file: a raw file, which ``load`` in model.py reads.
        snapshot: digest of a snapshot.
        seed: of made-up rows.
        workspace: where; without it, the workspace of the current folder.
    """
    from treadle.data.snapshot import SnapshotPlace
    from treadle.data.sources import fetch, load_file
    from treadle.data.validation.keep import inspect
    from treadle.data.validation.page import About
    from treadle.projects import find

    place = found(workspace)
    project = find(place, model)
    if snapshot is not None:
        frame, meta = SnapshotPlace.of(place).load(model, snapshot)
        source = str(meta.get("source", "snapshot"))
    elif file is not None:
        frame, source = load_file(project, Path(file)), f"file {file}"
    else:
        fetched = fetch(project, place, seed=seed)
        frame, source = fetched.frame, fetched.source
    return inspect(place, project.contract, frame, About(model, source, time.time(), snapshot or ""))
