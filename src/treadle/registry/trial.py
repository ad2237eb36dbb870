"""The A/B test of a model as it stands: which rows count, read from the store, and what they show (``abtest``)."""

from dataclasses import dataclass

from sqlalchemy import Connection

from treadle.bundle.place import BundlePlace
from treadle.engine.answer import label_index
from treadle.errors import NoABTest
from treadle.projects import Project
from treadle.registry import abtest
from treadle.registry.abtest import Observed, Report
from treadle.state import deployments, log
from treadle.state.deployments import Slot

MOST_ROWS = 100_000
"""Of more labelled rows of a version the newest count: a report must not take all of a machine's memory."""

DAY = 86400.0


@dataclass(frozen=True)
class Trial:
    """An A/B test: since when (epoch seconds) it runs, up to which prediction rows are old enough to count, and what they show."""

    model: str
    generation: int
    since: float
    until: float
    weights: dict[int, float]
    report: Report


def report(
    conn: Connection, bundles: BundlePlace, project: Project, *, now: float, alpha: float = 0.05, effect: float | None = None
) -> Trial:
    """Return what the A/B test of a model has shown up to ``now``.

    Rows count that were predicted since the test began, are older than ``labels.maturity``, and were routed to the version that answered.

    Raises:
        NoABTest: none runs.
        BundleNotFound, BundleCorrupt: what a version's numbers mean is not known.
    """
    known = deployments.history(conn, project.name)
    since = deployments.ab_since(known)
    present = known[-1] if known else None
    if since is None or present is None or present.champion is None:
        raise NoABTest(project.name)
    until = max(since, now - project.contract.policy.labels.maturity)
    counted = log.routed_counts(conn, project.name, since=since, until=until)
    window, slots = (since, until), (present.champion, *present.arms)
    champion, *arms = (_observed(conn, bundles, project, slot, window, counted.get(slot.digest, (0, 0))) for slot in slots)
    labelled = sum(len(one.y) for one in (champion, *arms))
    per_day = DAY * labelled / (until - since) if until > since else 0.0
    shown = abtest.judge(champion, arms, project.contract.metric, alpha=alpha, effect=effect, per_day=per_day)
    weights = {slot.version: slot.weight for slot in slots}
    return Trial(project.name, present.generation, since, until, weights, shown)


def _observed(
    conn: Connection, bundles: BundlePlace, project: Project, slot: Slot, window: tuple[float, float], counted: tuple[int, int]
) -> Observed:
    interface = bundles.interface(slot.digest)
    rows = log.labelled(
        conn,
        project.name,
        since=window[0],
        until=window[1],
        n_features=len(interface.features),
        n_scores=interface.score_count,
        missing=project.contract.policy.labels.missing,
        negative=interface.negative_class,
        limit=MOST_ROWS,
        digest=slot.digest,
        routed=True,
    )
    answered, failed = counted
    return Observed(slot.version, interface, label_index(interface, rows.labels), rows.scores, rows.entity, answered, failed)
