"""Keep a workspace in bounds: gc, reset."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from treadle.api.opening import Place, acting, found
from treadle.telling import Tell, nobody

if TYPE_CHECKING:
    from treadle.retention.collection import Collected
    from treadle.retention.reset import Cleared


def gc(
    model: str | None = None,
    *,
    dry_run: bool = False,
    vacuum: bool = False,
    downloads: bool = False,
    workspace: Place = None,
    tell: Tell = nobody,
) -> "Collected":
    """Remove what the policies no longer keep (``policy.retention``) and nothing needs. It may run beside the service and the controller.

    Args:
        model: only what belongs to this model; without it, the whole workspace, and below its cap (setting ``cap_gb``).
        dry_run: decide, and remove nothing.
        vacuum: give back to the disk what the rows took up in an SQLite store; writers wait meanwhile.
        downloads: remove downloaded files too.
        workspace: where; without it, the workspace of the current folder.
        tell: called with what has been removed.

    Raises:
        RoleMissing: you may only look; a dry run is for everybody.
    """
    from treadle.api.opening import opened
    from treadle.retention.collection import collect
    from treadle.retention.inventory import Ground

    with opened(workspace) as (place, store):
        if not dry_run:
            acting(place, "operate")
        return collect(Ground(place, store), model=model, dry_run=dry_run, vacuum=vacuum, downloads=downloads, tell=tell)


def reset(
    model: str | None = None,
    *,
    keys: bool = False,
    workspace: Place = None,
    confirm: Callable[[str], None] | None = None,
) -> "Cleared":
    """Forget one model, or all state of a workspace. Projects and downloads are never touched.

    Args:
        model: whose rows, versions, bundles and snapshots go; without it, the whole home folder is emptied.
        keys: whether the people's keys go too.
        workspace: where; without it, the workspace of the current folder.
        confirm: called with the sentence part that says what would go, once nothing stands in the way; if it raises, nothing goes.

    Raises:
        RoleMissing: you may only look.
        StillRunning: the service, the controller or a training works with it; the error names each.
        ProjectNotFound: there is nothing of such a model.
    """
    from treadle.retention.inventory import Ground
    from treadle.retention.reset import clear, forget, kept_still, require_known, require_still
    from treadle.state.heads import signed
    from treadle.state.store import open_store

    place = found(workspace)
    who = acting(place, "operate")
    store = open_store(place.store_url)
    try:
        ground = Ground(place, store)
        if model is not None:
            require_known(ground, model)
        require_still(ground, now=time.time())
        if confirm is not None:
            confirm(f"every row, version, bundle and snapshot of {model}" if model is not None else f"all state in {place.home}")
        with kept_still(ground):  # a person takes his time to answer
            if model is None:
                return clear(ground, keys=keys)
            with signed(store, place.home):
                return forget(ground, model, at=time.time(), actor=who.name)
    finally:
        store.close()
