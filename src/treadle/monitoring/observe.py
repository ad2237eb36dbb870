"""Look at one model's champion: the I/O around drift, quality and onset."""

from dataclasses import dataclass
from itertools import pairwise

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
from treadle.spec import Interface
from treadle.state import deployments, log
from treadle.state.log import LabelledRows
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
        window = _Window(conn, project.name, champion.version, bundle)
        drifted, drift_onset = _drift(window, project, since, now)
        rows = matured(conn, Window(project, labelled_since, now, MOST_ROWS), bundle.interface, champion.digest)
    measured, quality_onset = _quality(project, bundle, rows.take(rows.version == champion.version), labelled_since)
    return Observation(champion.version, since, now, drifted, drift_onset, labelled_since, labelled_until, measured, quality_onset)


@dataclass(frozen=True)
class _Window:
    """The live profile of one version."""

    conn: Connection
    model: str
    version: int
    bundle: Bundle

    def counts(self, since: float, until: float) -> Counts:
        profile = self.bundle.profile
        found = log.counts(self.conn, self.model, self.version, profile.digest, since=since, until=until)
        return np.zeros_like(profile.counts) if found is None else found


def _drift(window: _Window, project: Project, since: float, until: float) -> tuple[DriftReport, float | None]:
    profile = window.bundle.profile
    importances = window.bundle.card.get("importances", {})
    report = drift.assess(profile.layout, profile.counts, window.counts(since, until), importances, project.contract.policy.drift)
    if not report.drifted:
        return report, None
    edges = np.linspace(since, until, SLICES + 1).tolist()
    slices = [window.counts(begin, end) for begin, end in pairwise(edges)]
    return report, edges[onset.drift_onset(profile.layout, profile.counts, slices)]


def _quality(project: Project, bundle: Bundle, rows: LabelledRows, since: float) -> tuple[QualityReport, float | None]:
    contract = project.contract
    metric = contract.policy.quality.metric or contract.metric
    y = label_index(bundle.interface, rows.labels)
    sealed = bundle.card.get("metrics", {}).get(metric)
    report = quality.assess(metric, bundle.interface, y, rows.scores, sealed, contract.policy.quality)
    if not report.bad:
        return report, None
    first = onset.loss_onset(losses(bundle.interface, y, rows.scores))
    return report, float(rows.at[first - 1]) if first else since


def losses(interface: Interface, y: Labels, scores: Floats) -> Floats:
    """Return how wrong each row is, float [n]: the surprise at the true class, or the absolute error."""
    if interface.task == "regression":
        return np.abs(y - scores[:, 0])
    return -np.log(np.clip(scores[np.arange(len(y)), y.astype(np.int64)], _SMALLEST, 1.0))
