"""Compare versions on the traffic: ab_start, ab_stop, ab_report."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from treadle.api.opening import Place, acting, opened

if TYPE_CHECKING:
    from treadle.registry.trial import Trial
    from treadle.state.deployments import Deployment


def ab_start(model: str, arms: Mapping[int, float], *, reason: str = "Started by hand.", workspace: Place = None) -> "Deployment":
    """Start an A/B test: each arm answers its share of the traffic, the champion the rest. An entity stays with its version.

    Args:
        model: name of the project.
        arms: share of the traffic (between 0 and 1) by number of the version, as in ``{5: 0.2, 6: 0.2}``.
        reason: why, for the record.
        workspace: where; without it, the workspace of the current folder.

    Raises:
        NotDeployed, ArmsInvalid: there is no champion, or the shares leave it nothing.
        RolesTaken: a canary or another test runs.
        NotPermitted, ConsentMissing: the gate refuses an arm, or people must agree to it first.
    """
    from treadle.loop import Loop
    from treadle.projects import find

    with opened(workspace) as (place, store):
        return Loop(place, store).start_ab(find(place, model), arms, reason=reason, actor=acting(place, "operate").name)


def ab_stop(
    model: str,
    *,
    promote: int | None = None,
    drop: int | None = None,
    reason: str = "Stopped by hand.",
    workspace: Place = None,
) -> "Deployment":
    """End an A/B test. The champion gets all traffic back, unless one of the arms takes its place.

    Args:
        model: name of the project.
        promote: the arm that becomes champion; the gate's verdict on it must still hold.
        drop: take only this arm out, and let the others go on, as a test that begins anew.
        reason: why, for the record.
        workspace: where; without it, the workspace of the current folder.

    Raises:
        NoABTest: none runs, or the version is no arm of it.
        NotPermitted, ConsentMissing: the arm may not become champion.
    """
    from treadle.loop import Loop
    from treadle.projects import find

    with opened(workspace) as (place, store):
        actor = acting(place, "operate").name
        return Loop(place, store).stop_ab(find(place, model), reason=reason, actor=actor, promote=promote, drop=drop)


def ab_report(model: str, *, alpha: float = 0.05, effect: float | None = None, workspace: Place = None) -> "Trial":
    """Return what an A/B test has shown so far: the contract's metric of each version on its labelled rows, and how sure that is.

    It may be asked for as often as you like: intervals and p-values hold at every look at once.

    Args:
        model: name of the project.
        alpha: the chance of a false alarm over all arms and looks.
        effect: the difference that is worth finding, for how many rows are still needed; without it, 1 % of the champion's value.
        workspace: where; without it, the workspace of the current folder.

    Raises:
        NoABTest: none runs.
    """
    from treadle.bundle.place import BundlePlace
    from treadle.projects import find
    from treadle.registry import trial

    with opened(workspace) as (place, store):
        project = find(place, model)
        with store.read() as conn:
            return trial.report(conn, BundlePlace.of(place), project, now=time.time(), alpha=alpha, effect=effect)
