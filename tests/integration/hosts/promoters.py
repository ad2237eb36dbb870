"""What the processes of test_two_promotions do."""

import time
from pathlib import Path

from tests.integration.state.writers import begin
from treadle.errors import TreadleError
from treadle.projects import find
from treadle.registry import promotion
from treadle.registry.tracking import Tracking
from treadle.settings import Workspace
from treadle.state import verdicts
from treadle.state.store import open_store


def promote(root: str, number: int) -> str:
    """Promote the version ``number`` + 1 of iris at the same moment as the other process; return what was said to that."""
    workspace, version = Workspace.find(Path(root)), number + 1
    store, project = open_store(workspace.store_url), find(workspace, "iris")
    Tracking(workspace).version("iris", version)  # to load MLflow takes longer than all the rest
    with store.read() as conn:
        verdict = verdicts.latest(conn, "iris", version, "gate")
    assert verdict is not None
    begin()
    try:
        made = promotion.promote(workspace, store, project, version, verdict, at=time.time(), actor=f"promoter {number}")
    except TreadleError as error:
        return f"{type(error).__name__}: {error.sentence} {error.fix}"
    finally:
        store.close()
    return f"generation {made.generation}"
