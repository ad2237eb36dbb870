"""What the gate judges a version by: its held-out rows, its speed here, and a comparison with the champion on fair rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from treadle.bundle.manifest import Lineage
from treadle.bundle.place import MEASURED_FILE, Bundle
from treadle.engine.answer import label_index
from treadle.engine.encode import example, to_matrix
from treadle.engine.session import Engine, Graph
from treadle.engine.translate import Floats, translated
from treadle.errors import RowsOverlap, SnapshotCorrupt, SnapshotNotFound, SplitImpossible, TargetInvalid
from treadle.projects import Project
from treadle.registry import origin
from treadle.registry.gate import Comparison, Evidence, Incomparable
from treadle.registry.origin import Holdout
from treadle.registry.succession import breach
from treadle.settings import Workspace
from treadle.spec.evolution import Translation, translation
from treadle.state.log import LabelledRows
from treadle.training.bootstrap import Paired, paired
from treadle.training.lineage import holdout_digest
from treadle.training.metrics import Labels, baseline_scores, better, measure
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

    @property
    def unlearned(self) -> Engine:
        """What has not learned the held-out rows: the version itself, or the clone of one that was published as it was."""
        content = self.bundle.files.get(MEASURED_FILE)
        return self.engine if content is None else Engine(Graph(f"{self.engine.name}, measured", content, self.bundle.interface))


@dataclass(frozen=True)
class Jury:
    """Logged, labelled rows that judge a version: rows of its own interface, and a sentence for each lot that was left out."""

    rows: LabelledRows
    left_out: tuple[str, ...]


def gather(workspace: Workspace, project: Project, challenger: Candidate, champion: Candidate | None, jury: Jury | None) -> Evidence:
    """Measure what the gate asks for. The rows are scored again: a card can make a version look worse than it is, never better.

    Args:
        workspace: where the snapshots lie.
        project: names the metric and the confidence.
        challenger: the version to judge.
        champion: the present champion, if there is one.
        jury: rows to compare both on; without them the holdout is used, if it is the same for both.

    Raises:
        RowsOverlap: the challenger may have learnt from some of the rows.
        LabelInvalid: a label is not a value of the target.
        InferenceFailed: a graph fails on the rows.
    """
    card, interface = challenger.bundle.card, challenger.bundle.interface
    found = _found(workspace, challenger)
    held = found if isinstance(found, Holdout) else None
    return Evidence(
        metrics=_worse(_measured(challenger, held), card.get("metrics", {}), worse=-1),
        baseline=_worse(_trivial(challenger, held), card.get("baseline", {}), worse=1),
        parity_share=card["parity"]["share_beyond"],
        parity_rows=card["parity"]["rows"],
        latency=latency(challenger.engine, to_matrix(interface, [example(interface)])),
        comparison=_compare(project, challenger, champion, held, jury) if held is not None else None,
        lost=found if isinstance(found, str) else "",
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
        named = "" if challenger.bundle.interface.pseudonymize else f": {', '.join(seen[:SHOWN])}{more}"
        overlaps.append(f"{len(seen)} entities are among its training rows{named}")
    if overlaps:
        raise RowsOverlap(model, challenger.version, overlaps)


def _found(workspace: Workspace, challenger: Candidate) -> Holdout | str:
    """Return what was held out of the challenger's training, or the sentence why that cannot be known."""
    try:
        held = origin.holdout(workspace, challenger.bundle)
    except (SnapshotNotFound, SnapshotCorrupt, SplitImpossible, TargetInvalid) as error:
        return f"What was held out of its training cannot be found again, so that nothing can be measured. {error.sentence}"
    sealed = challenger.lineage.holdout_digest
    if sealed and sealed != holdout_digest(held.matrix, held.y):
        return "Its snapshot, split by its seed, gives other held-out rows than its lineage names, so that nothing can be measured."
    return held


def _measured(challenger: Candidate, held: Holdout | None) -> dict[str, float]:
    """Return what the version measures on its held-out rows; of one that was published, the lesser of it and its clone."""
    if held is None:
        return {}
    itself, unlearned = (
        measure(challenger.bundle.interface, held.y, one.run(held.matrix)) for one in (challenger.engine, challenger.unlearned)
    )
    return _worse(itself, unlearned, worse=-1)


def _trivial(challenger: Candidate, held: Holdout | None) -> dict[str, float]:
    """Return what a model without features measures on the same rows."""
    if held is None:
        return {}
    interface = challenger.bundle.interface
    return measure(interface, held.y, baseline_scores(interface, held.y_train, len(held.y)))


def _worse(measured: Mapping[str, float], sealed: Mapping[str, Any], *, worse: int) -> dict[str, float]:
    """Return of each measured value and the sealed one the lesser; with ``worse`` +1 the greater. Errors are the other way round."""
    values = {}
    for name, value in measured.items():
        told = sealed.get(name)
        known = [value, float(told)] if isinstance(told, int | float) else [value]
        values[name] = max(known) if worse * better(name) > 0 else min(known)
    return values


def _compare(
    project: Project, challenger: Candidate, champion: Candidate | None, held: Holdout, jury: Jury | None
) -> Comparison | Incomparable | None:
    if jury is not None:
        # Also without a champion: rows that overlap are a mistake of the caller, and the first version is not spared it.
        require_unseen(project.name, challenger, jury.rows, held.entities)
    if champion is None:
        return None
    old, new = champion.bundle.interface, challenger.bundle.interface
    broken, back = breach(project.name, champion.version, old, new), translation(new, old)
    if broken is not None or back is None:
        return Incomparable(champion.version, f"{broken.sentence}\n{broken.fix}" if broken else "")
    if jury is not None:
        y = label_index(new, jury.rows.labels)
        unnamed = jury.rows.entity.count(None) if new.entity is not None else 0
        shown = _paired(project, challenger, champion, jury.rows.matrix, y, back)
        return Comparison(champion.version, "logged", shown, unnamed, jury.left_out)
    same = champion.lineage.holdout_digest == holdout_digest(translated(back, held.matrix), held.y)
    if not (challenger.lineage.holdout_digest and same):
        return Incomparable(champion.version, _no_fair_rows(project.name, champion.version))
    clones = replace(challenger, engine=challenger.unlearned), replace(champion, engine=champion.unlearned)
    return Comparison(champion.version, "holdout", _paired(project, *clones, held.matrix, held.y, back))


def _paired(project: Project, challenger: Candidate, champion: Candidate, rows: Floats, y: Labels, back: Translation) -> Paired:
    """Compare both on ``rows`` of the challenger's interface, which the champion sees as rows of its own."""
    confidence = project.contract.policy.gate.confidence
    scores = challenger.engine.run(rows), champion.engine.run(translated(back, rows))
    return paired(project.contract.metric, challenger.bundle.interface, y, *scores, seed=SEED, confidence=confidence)


def _no_fair_rows(model: str, champion: int) -> str:
    return (
        f"No rows are fair to both it and champion version {champion}: their holdouts are not the same. Gate it on labelled rows "
        f"that were logged after its training cut, or train it with the champion's data and seed (`treadle train {model} --seed N`)."
    )
