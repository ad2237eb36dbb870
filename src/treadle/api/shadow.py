"""A version beside those that answer: shadow."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from treadle.api.opening import Place, acting, opened

if TYPE_CHECKING:
    from treadle.retraining.shadow import ShadowReport

WEEK = 7 * 86400.0


def shadow(
    model: str,
    version: int | None = None,
    *,
    since: float = WEEK,
    share: float = 1.0,
    follow: bool = False,
    every: int = 1000,
    tell: "Callable[[ShadowReport], None] | None" = None,
    stop: threading.Event | None = None,
    workspace: Place = None,
) -> "ShadowReport":
    """Let a version answer again what others have answered, in this process, and return how it did. It changes no deployment.

    Args:
        model: name of the model.
        version: the version in the shadow; without it, the newest.
        since: how far back it begins, in seconds.
        share: how many of the rows it answers, 0 to 1.
        follow: go on with what comes, until ``stop`` is set or Ctrl-C.
        every: while following, call ``tell`` after each so many rows.
        tell: called with what has been found so far.
        stop: ends following.
        workspace: where; without it, the workspace of the current folder.

    Raises:
        RoleMissing: you may only look.
        VersionNotFound, VersionNotSealed, TrackingUnavailable: MLflow does not know the version, or cannot be asked.
        BundleNotFound, BundleCorrupt: what was sealed is gone or damaged.
    """
    import time

    from treadle.projects import find
    from treadle.registry.tracking import Tracking
    from treadle.retraining.shadow import Shadow, record

    with opened(workspace) as (place, store):
        actor, project = acting(place, "operate"), find(place, model)
        found = Tracking(place).require(model, version)
        run = Shadow(place, store, project, found, since=time.time() - since, share=share)
        if follow:
            with suppress(KeyboardInterrupt):
                run.follow((stop or threading.Event()).wait, every=every, tell=tell or _silently, poll=place.settings.poll_seconds)
        else:
            run.run()
        report = run.report()
        record(store, report, at=time.time(), actor=actor.name)
        return report


def _silently(_report: "ShadowReport") -> None:
    """Tell nobody."""
