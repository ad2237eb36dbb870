"""What the gate judges a version by: its sealed card, its speed here, and a comparison with the champion on fair rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from treadle.bundle.manifest import Lineage
from treadle.bundle.place import Bundle
from treadle.data.frame import entities, matrix, target
from treadle.data.snapshot import SnapshotPlace
from treadle.data.split import split
from treadle.engine.answer import label_index
from treadle.engine.encode import example, to_matrix
from treadle.engine.session import Engine
from treadle.errors import RowsOverlap, SnapshotNotFound
from treadle.projects import Project
from treadle.registry.gate import Comparison, Evidence, Incomparable
from treadle.settings import Workspace
from treadle.spec import CategoryFeature, Interface
from treadle.state.log import LabelledRows
from treadle.training.bootstrap import Paired, paired
from treadle.training.metrics import Labels
from treadle.training.train import latency

SEED = 0
"""Of the bootstrap: the same evidence gives the same verdict."""

SHOWN = 5
"""How many entities an error names."""


@dataclass(frozen=True)
class Candidate:
    """A version and its bundle, loaded and checked."""

    version: int
    bundle: Bundle
    engine: Engine

    @property
    def lineage(self) -> Lineage:
        """From what the version was made."""
        return self.bundle.manifest.lineage


def gather(
    workspace: Workspace, project: Project, challenger: Candidate, champion: Candidate | None, rows: LabelledRows | None
) -> Evidence:
    """Measure what the gate asks for.

    Args:
        workspace: where the snapshots lie.
        project: names the metric and the confidence.
        challenger: the version to judge.
        champion: the present champion, if there is one.
        rows: logged, labelled rows to compare both on; without them the holdout is used, if it is the same for both.

    Raises:
        RowsOverlap: the challenger may have learnt from some of the rows.
        LabelInvalid: a label is not a value of the target.
        SnapshotNotFound, SnapshotCorrupt: the rows that the challenger was trained on are gone.
    """
    card, interface = challenger.bundle.card, challenger.engine.interface
    return Evidence(
        metrics=card["metrics"],
        baseline=card["baseline"],
        parity_share=card["parity"]["share_beyond"],
        parity_rows=card["parity"]["rows"],
        latency=latency(challenger.engine, to_matrix(interface, [example(interface)])),
        comparison=_compare(workspace, project, challenger, champion, rows),
    )


def require_unseen(model: str, challenger: Candidate, rows: LabelledRows, trained_on: frozenset[str]) -> None:
    """Refuse rows that the challenger may have learnt from: predicted before its training cut, or of an entity in ``trained_on``.

    Raises:
        RowsOverlap: there are such rows; the error counts them.
    """
    overlaps = []
    cut = challenger.lineage.cut
    early = int((rows.at <= cut).sum()) if cut is not None else 0
    if early:
        overlaps.append(f"{early} of {len(rows)} rows were predicted at or before its training cut, {cut:.3f}")
    seen = sorted({entity for entity in rows.entity if entity is not None and entity in trained_on})
    if seen:
        more = ", …" if len(seen) > SHOWN else ""
        overlaps.append(f"{len(seen)} entities are among its training rows: {', '.join(seen[:SHOWN])}{more}")
    if overlaps:
        raise RowsOverlap(model, challenger.version, overlaps)


def _compare(
    workspace: Workspace, project: Project, challenger: Candidate, champion: Candidate | None, rows: LabelledRows | None
) -> Comparison | Incomparable | None:
    if rows is not None:
        # Also without a champion: rows that overlap are a mistake of the caller, and the first version is not spared it.
        require_unseen(project.name, challenger, rows, trained_on(workspace, project, challenger.bundle))
    if champion is None:
        return None
    if encoding(challenger.engine.interface) != encoding(champion.engine.interface):
        return Incomparable(champion.version, _other_interface(champion.version))
    if rows is not None:
        y = label_index(challenger.engine.interface, rows.labels)
        unnamed = rows.entity.count(None) if challenger.engine.interface.entity is not None else 0
        return Comparison(champion.version, "logged", _paired(project, challenger, champion, rows.matrix, y), unnamed)
    if not challenger.lineage.holdout_digest or challenger.lineage.holdout_digest != champion.lineage.holdout_digest:
        return Incomparable(champion.version, _no_fair_rows(project.name, champion.version))
    held, y = _holdout(workspace, project, challenger)
    return Comparison(champion.version, "holdout", _paired(project, challenger, champion, held, y))


def _paired(project: Project, challenger: Candidate, champion: Candidate, rows: NDArray[np.float32], y: Labels) -> Paired:
    confidence = project.contract.policy.gate.confidence
    interface, scores = challenger.engine.interface, [one.engine.run(rows) for one in (challenger, champion)]
    return paired(project.contract.metric, interface, y, *scores, seed=SEED, confidence=confidence)


def trained_on(workspace: Workspace, project: Project, bundle: Bundle) -> frozenset[str]:
    """Return the entities among the rows that a version was made from, held out or not."""
    interface = bundle.interface
    return entities(interface, _snapshot(workspace, project, bundle)) if interface.entity is not None else frozenset()


def _holdout(workspace: Workspace, project: Project, challenger: Candidate) -> tuple[NDArray[np.float32], Labels]:
    """Return the rows that were held out when the version was made, by the same split again."""
    interface, frame = challenger.engine.interface, _snapshot(workspace, project, challenger.bundle)
    held = frame.iloc[split(interface, frame, challenger.lineage.seed).holdout]
    return matrix(interface, held), target(interface, held)


def _snapshot(workspace: Workspace, project: Project, bundle: Bundle) -> DataFrame:
    place, known = SnapshotPlace(workspace.snapshot_dir), bundle.manifest.lineage.snapshot
    digest = next((one.digest for one in place.list(project.name) if one.dvc_md5 == known), None)
    if digest is None:
        raise SnapshotNotFound(project.name, known, place.folder)
    return place.load(project.name, digest)[0]


def encoding(interface: Interface) -> list[object]:
    """Return what decides how a row becomes numbers and a label a class: two versions can score the same rows if it is the same."""
    features = [(one.name, one.type, one.categories if isinstance(one, CategoryFeature) else ()) for one in interface.features]
    return [interface.task, interface.target.classes, interface.target.positive, features]


def _other_interface(champion: int) -> str:
    return (
        f"The features or classes sealed into it are not those of champion version {champion}, so the two cannot score the same rows. "
        "Give the new interface a project of its own, and move its callers over."
    )


def _no_fair_rows(model: str, champion: int) -> str:
    return (
        f"No rows are fair to both it and champion version {champion}: their holdouts are not the same. Gate it on labelled rows "
        f"that were logged after its training cut, or train it with the champion's data and seed (`treadle train {model} --seed N`)."
    )
