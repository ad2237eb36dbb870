"""Break something on purpose: drill, the command `break`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from treadle.api.opening import Place, opened
from treadle.errors import DrillImpossible, choose_from
from treadle.telling import nobody

if TYPE_CHECKING:
    from treadle.drills.report import Report


def drill(
    kind: str,
    model: str,
    *,
    seconds: float | None = None,
    seed: int = 1,
    url: str | None = None,
    workspace: Place = None,
    tell: Callable[[str], None] = nobody,
) -> "Report":
    """Break something of a running workspace on purpose, and report whether the loop holds. This is the command ``treadle break``.

    Args:
        kind: ``drift``, ``no-labels``, ``bad-data``, ``slow``, ``failing`` or ``dead-controller``.
        model: name of the model.
        seconds: how long it may take; without it, as long as this kind usually does.
        seed: of the simulated world.
        url: address of the service; without it, the workspace's own.
        workspace: where; without it, the workspace of the current folder.
        tell: called with a sentence for each thing that happens.

    Raises:
        DrillImpossible: it cannot begin, or there is no such drill.
    """
    from treadle import service
    from treadle.drills import run
    from treadle.drills.scene import Scene
    from treadle.projects import find

    known = next((one for one in run.KINDS if one == kind), None)
    if known is None:
        raise DrillImpossible(f"there is none called {kind!r}", f"{choose_from(run.KINDS)}.".capitalize())
    with opened(workspace) as (place, store):
        project = find(place, model)
        long = run.DRILLS[known].seconds if seconds is None else seconds
        return run.run(known, Scene(place, store, project, url or service.address(place), long, seed, tell))
