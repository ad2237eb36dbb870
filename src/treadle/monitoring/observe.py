"""Look at one model's champion: the I/O around drift, quality and onset."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from sqlalchemy import Connection

from treadle.bundle.place import Bundle, BundlePlace
from treadle.engine.answer import label_index
from treadle.errors import NotDeployed
from treadle.monitoring import drift, onset, quality
from treadle.monitoring.drift import Counts, DriftReport
from treadle.monitoring.matured import Window, matured
from treadle.monitoring.quality import QualityReport
from treadle.projects import Project
from treadle.spec import Contract, Interface
from treadle.state import deployments, log
from treadle.state.store import Store
from treadle.training.metrics import Floats, Labels

SLICES = 32
"""Pieces in which a drifted window is cut to date the change."""

MOST_ROWS = 20_000
"""Newest labelled rows that quality is measured on."""

_SMALLEST = 1e-7  # a probability of 0 must not cost infinity


@dataclass(frozen=True)
class Observation:
    """What was seen of the champion, version ``version``. All times are epoch seconds.

    Drift was measured over predictions in [``since``, ``until``), quality over those in (``labelled_since``, ``labelled_until``].
    An onset is the time after which rows are of the changed world; None where nothing alarms.
    """

    version: int
    since: float
    until: float
    drift: DriftReport
    drift_onset: float | None
    labelled_since: float
    labelled_until: float
    quality: QualityReport
    quality_onset: float | None


def observe(store: Store, bundles: BundlePlace, project: Project, *, now: float) -> Observation:
    """Measure drift and quality of a model's champion over the windows of its policy.

    Raises:
        NotDeployed: the model has no champion.
        BundleNotFound, BundleCorrupt, BundleInvalid: the champion's bundle cannot be read.
        StoreUnavailable: the store is away.
    """
    policy = project.contract.policy
    since, labelled_until = now - policy.drift.window, now - policy.labels.maturity
    labelled_since = labelled_until - policy.quality.window
    with store.read() as conn:
        champion = deployments.require(conn, project.name).champion
        if champion is None:
            raise NotDeployed(project.name)
        bundle = bundles.get(champion.digest)
        live = _Shipped(conn, project.name, champion.version, bundle)
        drifted = assess_drift(live, project.contract, since, now)
        drift_onset = date_drift(live, since, now) if drifted.drifted else None
        rows = matured(conn, Window(project, labelled_since, now, MOST_ROWS), bundle.interface, champion.digest)
    rows = rows.take(rows.version == champion.version)
    judged = Judged(rows.at, label_index(bundle.interface, rows.labels), rows.scores)
    measured = assess_quality(bundle, project.contract, judged)
    quality_onset = date_quality(bundle, judged, labelled_since) if measured.bad else None
    return Observation(champion.version, since, now, drifted, drift_onset, labelled_since, labelled_until, measured, quality_onset)


class Live(Protocol):
    """The live profile of one version, wherever its counts come from."""

    @property
    def bundle(self) -> Bundle:
        """What was sealed: the reference, and the bins of both."""

    def counts(self, since: float, until: float) -> Counts:
        """Return the counts of the predictions in [``since``, ``until``), in epoch seconds."""


@dataclass(frozen=True)
class Judged:
    """What a version answered and what was true, oldest first: ``at`` float64 [n], ``y`` [n], ``scores`` float32 [n, k]."""

    at: Floats
    y: Labels
    scores: Floats


def assess_drift(live: Live, contract: Contract, since: float, until: float) -> DriftReport:
    """Compare what was live in [``since``, ``until``) with the reference, by the policy of ``contract``."""
    profile, importances = live.bundle.profile, live.bundle.card.get("importances", {})
    return drift.assess(profile.layout, profile.counts, live.counts(since, until), importances, contract.policy.drift)


def date_drift(live: Live, since: float, until: float) -> float:
    """Return the time in a drifted window after which rows are of the changed world."""
    profile, edges = live.bundle.profile, np.linspace(since, until, SLICES + 1).tolist()
    slices = [live.counts(begin, end) for begin, end in pairwise(edges)]
    return float(edges[onset.drift_onset(profile.layout, profile.counts, slices)])


def assess_quality(bundle: Bundle, contract: Contract, judged: Judged, *, thorough: bool = True) -> QualityReport:
    """Compare how good a version was with what it showed when it was sealed, by the policy of ``contract`` (see ``quality.assess``)."""
    metric = contract.policy.quality.metric or contract.metric
    sealed = bundle.card.get("metrics", {}).get(metric)
    return quality.assess(metric, bundle.interface, judged.y, judged.scores, sealed, contract.policy.quality, thorough=thorough)


def date_quality(bundle: Bundle, judged: Judged, since: float) -> float:
    """Return the time after which a version was worse; ``since``, the start of the window, where it was so all along."""
    first = onset.loss_onset(losses(bundle.interface, judged.y, judged.scores))
    return float(judged.at[first - 1]) if first else since


@dataclass(frozen=True)
class _Shipped:
    """The live profile of one version, from the parts that were shipped."""

    conn: Connection
    model: str
    version: int
    bundle: Bundle

    def counts(self, since: float, until: float) -> Counts:
        profile = self.bundle.profile
        found = log.counts(self.conn, self.model, self.version, profile.digest, since=since, until=until)
        return np.zeros_like(profile.counts) if found is None else found


def losses(interface: Interface, y: Labels, scores: Floats) -> Floats:
    """Return how wrong each row is, float [n]: the surprise at the true class, or the absolute error."""
    if interface.task == "regression":
        return np.abs(y - scores[:, 0])
    return -np.log(np.clip(scores[np.arange(len(y)), y.astype(np.int64)], _SMALLEST, 1.0))
