"""The labelled rows of a model that are old enough to be judged.

Rows count by the time of their prediction, never by when their label came: early labels are biased. Rows that a version with
another interface answered are read as rows of the one that is asked for, where that is possible (``spec.evolution``).
"""

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from sqlalchemy import Connection

from treadle.bundle.place import BundlePlace
from treadle.engine.translate import allowed, translated
from treadle.errors import TreadleError
from treadle.projects import Project
from treadle.spec import Interface
from treadle.spec.evolution import broken, translation
from treadle.state import log
from treadle.state.log import Answerer, LabelledRows


@dataclass(frozen=True)
class Window:
    """The rows of a model predicted after ``since`` that have matured at ``now`` (epoch seconds); the newest ``limit`` of them."""

    project: Project
    since: float
    now: float
    limit: int

    @property
    def until(self) -> float:
        """The latest prediction time that counts."""
        return self.now - self.project.contract.policy.labels.maturity


@dataclass(frozen=True)
class Matured:
    """Rows under one interface, oldest first, and a sentence per version about the rows of it that could not be read so."""

    rows: LabelledRows
    left_out: tuple[str, ...] = ()


def matured(conn: Connection, window: Window, interface: Interface, digest: str) -> LabelledRows:
    """Return the matured rows that one version answered, oldest first; ``digest`` is its bundle's, ``interface`` what is sealed there."""
    labels = window.project.contract.policy.labels
    return log.labelled(
        conn,
        window.project.name,
        since=window.since,
        until=window.until,
        n_features=len(interface.features),
        n_scores=interface.score_count,
        missing=labels.missing,
        negative=interface.negative_class,
        limit=window.limit,
        digest=digest,
    )


def matured_under(conn: Connection, window: Window, interface: Interface, bundles: BundlePlace) -> Matured:
    """Return the matured rows of whatever version as rows of ``interface``; what cannot be read so is left out, and told."""
    missing = window.project.contract.policy.labels.missing
    answered = log.answerers(conn, window.project.name, since=window.since, until=window.until, missing=missing)
    parts = [_part(conn, window, interface, bundles, answerer) for answerer in answered]
    rows = reduce(LabelledRows.joined, [part.rows for part in parts if len(part.rows)] or [_none(interface)])
    newest = np.arange(len(rows))[-window.limit :]
    return Matured(rows.take(newest), tuple(sentence for part in parts for sentence in part.left_out))


def _part(conn: Connection, window: Window, interface: Interface, bundles: BundlePlace, answerer: Answerer) -> Matured:
    """Return the rows that one version answered, as rows of ``interface``."""
    told = f"{answerer.rows} rows of version {answerer.version} were left out: "
    try:
        sealed = bundles.interface(answerer.digest)
    except TreadleError as error:
        return Matured(_none(interface), (f"{told}what they mean is not known. {error.sentence}",))
    how = translation(sealed, interface)
    if how is None:
        return Matured(_none(interface), (told + " ".join(change.sentence for change in broken(sealed, interface)),))
    rows = matured(conn, window, sealed, answerer.digest)
    rows = replace(rows, matrix=translated(how, rows.matrix))
    if how.identity:
        return Matured(rows)
    fits = allowed(interface, rows.matrix)
    outside = int((~fits).sum())
    sentence = f"{outside} rows of version {answerer.version} were left out: they hold values that are not allowed here."
    return Matured(rows.take(fits), (sentence,) if outside else ())


def _none(interface: Interface) -> LabelledRows:
    matrix, scores = (np.zeros((0, width), dtype=np.float32) for width in (len(interface.features), interface.score_count))
    return LabelledRows([], np.zeros(0), np.zeros(0, dtype=np.int64), [], [], matrix, scores, [])
