"""The shipper without its process."""

import time
from collections.abc import Callable
from pathlib import Path

from treadle.bundle.place import BundlePlace
from treadle.serving.shipper import Shipper
from treadle.settings import Workspace
from treadle.state.store import Store


def ship_all(
    store: Store, spool: Path, bundles: BundlePlace, *, bucket_seconds: float = 60, clock: Callable[[], float] = time.time
) -> None:
    """Ship whatever is in the spool."""
    shipper = Shipper(store, spool, bundles, bucket_seconds=bucket_seconds, clock=clock)
    while shipper.step():
        pass


def ship_the_rest(workspace: Workspace, store: Store) -> None:
    """Ship what the last moments of a service have left in the spool, as the shipper of the next start would."""
    ship_all(store, workspace.spool_dir, BundlePlace.of(workspace), bucket_seconds=workspace.settings.profile_seconds)
