"""How a version comes to be: data → snapshot → checks → training → sealed bundle → MLflow. It gets no role by this."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import msgspec
from filelock import FileLock
from pandas import DataFrame

from treadle.data.snapshot import Snapshot, SnapshotPlace
from treadle.data.sources import fetch, rows_digest
from treadle.data.validate import require_passed
from treadle.data.validation.keep import SHOWN, Kept, inspect
from treadle.data.validation.page import About
from treadle.errors import SnapshotImpossible
from treadle.projects import Project
from treadle.registry import runs
from treadle.registry.runs import Run
from treadle.registry.succession import require_follows
from treadle.registry.tracking import DIGEST_TAG, Registered, Tracking
from treadle.settings import Workspace
from treadle.state import events
from treadle.state.store import Store
from treadle.telling import Tell, nobody
from treadle.training.lineage import Origin
from treadle.training.train import Trained, train

SIDES = ("low", "high")


@dataclass(frozen=True)
class _Report:
    """Writes down what happened, and tells it."""

    store: Store
    model: str
    clock: Callable[[], float]
    tell: Tell

    def __call__(self, kind: str, **facts: Any) -> None:
        with self.store.write() as conn:
            events.append(conn, kind, at=self.clock(), model=self.model, data=facts)
        self.tell(kind, model=self.model, **facts)


@dataclass(frozen=True)
class _Data:
    """Rows that are kept, and where they came from."""

    frame: DataFrame
    snapshot: Snapshot
    source: str
    simulated: bool


def train_and_register(  # noqa: PLR0913 - what one training can be told
    workspace: Workspace,
    store: Store,
    project: Project,
    *,
    seed: int,
    clock: Callable[[], float] = time.time,
    turn_id: str | None = None,
    snapshot: str | None = None,
    cut: float | None = None,
    reference: DataFrame | None = None,
    published: Any = None,
    tell: Tell = nobody,
) -> Registered:
    """Make a version and register it in MLflow; a failure is kept there as a FAILED run, and raised.

    Args:
        workspace: where the data, the bundles and MLflow lie.
        store: gets an event for each thing that is done.
        project: what is trained.
        seed: of the split and the estimator.
        clock: gives the time of the events, in epoch seconds.
        turn_id: the turn of the loop that asks; if it has made a version already, that one is returned and nothing is done.
        snapshot: digest of the snapshot to train on; without it the sources of the contract are tried.
        cut: time of the latest prediction among the rows, in epoch seconds; without it the one that the snapshot notes, if any.
        reference: rows of the recent served population, for the reference profile; without it the data are the reference.
        published: an estimator that was fitted elsewhere, whose graph is sealed as it is (see ``training.train.train``).
        tell: called with what has been done.

    Raises:
        ContractBroken: the contract no longer takes all that the champion takes. No run is kept of that.
    """
    tracking, report = Tracking(workspace), _Report(store, project.name, clock, tell)
    with _alone(workspace, turn_id):
        made = tracking.find_by_turn(project.name, turn_id) if turn_id is not None else None
        if made is not None:
            runs.end_orphans(tracking, project.name, turn_id)
            return tracking.version(project.name, made)
        require_follows(workspace, store, project, seed=seed)
        with runs.started(tracking, project.name, name=f"seed {seed}", turn_id=turn_id) as run:
            with _told(report, "data.refused"):
                data = _data(workspace, project, run, seed=seed, snapshot=snapshot, at=clock())
                about = About(project.name, data.source, clock(), data.snapshot.digest)
                kept = _checked(workspace, project, data.frame, run, about)
            report("data.snapshotted", rows=data.snapshot.rows, digest=data.snapshot.digest, source=data.source, simulated=data.simulated)
            report("data.validated", **_validated(workspace, kept))
            origin = _origin(data, run, turn_id, cut)
            with _told(report, "training.failed"):
                trained = train(project, data.frame, origin, seed=seed, workspace=workspace, reference=reference, published=published)
            _log(run, trained)
            metric = project.contract.metric
            report("training.finished", metric=metric, value=trained.fitted.metrics.get(metric), digest=trained.bundle.digest, run=run.id)
            registered = run.register(trained.bundle, turn_id)
        report("version.registered", version=registered.version, digest=registered.digest, run=run.id, turn=turn_id)
        return registered


def _alone(workspace: Workspace, turn_id: str | None) -> AbstractContextManager[object]:
    """Hold the turn's lock: what an abandoned try for the same turn still does is waited for, and then found."""
    if turn_id is None:
        return nullcontext()
    folder = workspace.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"train-{turn_id}.lock")


@contextmanager
def _told(report: _Report, kind: str) -> Iterator[None]:
    """Write the block's error down as an event before it goes on."""
    try:
        yield
    except Exception as error:
        report(kind, error=str(error), type=type(error).__name__)
        raise


def _data(workspace: Workspace, project: Project, run: Run, *, seed: int, snapshot: str | None, at: float) -> _Data:
    """Return the rows of a snapshot; without one, of the first source that has any, snapshotted."""
    place = SnapshotPlace.of(workspace)
    if snapshot is None:
        fetched = fetch(project, workspace, seed=seed)
        try:
            snapshot = place.save(project.name, fetched.frame, {"source": fetched.source, "simulated": fetched.simulated}).digest
        except SnapshotImpossible:
            # A column of numbers with a text among them can be no snapshot; the checks name the column, the row and the value.
            _checked(workspace, project, fetched.frame, run, About(project.name, fetched.source, at))
            raise
    # Also fresh rows are read back: a holdout is found again only if the same file gives the same rows.
    frame, meta = place.load(project.name, snapshot)
    return _Data(frame, place.get(project.name, snapshot), meta.get("source", "snapshot"), meta.get("simulated", False))


def _checked(workspace: Workspace, project: Project, frame: DataFrame, run: Run, about: About) -> Kept:
    """Check the rows; whatever comes of it, the report is kept, and goes with the run."""
    kept = inspect(workspace, project.contract, frame, about)
    run.attach_files("validation", [kept.folder / name for name in SHOWN])
    require_passed(project.name, kept.report)
    return kept


def _validated(workspace: Workspace, kept: Kept) -> dict[str, Any]:
    """Return what is told of a check that was passed."""
    warnings = [warning.message for warning in kept.report.warnings]
    page = kept.page.relative_to(workspace.home)
    return {"rows": kept.report.rows, "warnings": len(warnings), "first": warnings[0] if warnings else "", "report": str(page)}


def _origin(data: _Data, run: Run, turn_id: str | None, cut: float | None) -> Origin:
    return Origin(
        digest=rows_digest(data.frame),
        source=data.source,
        simulated=data.simulated,
        snapshot=data.snapshot.dvc_md5,
        run_id=run.id,
        turn_id=turn_id,
        cut=data.snapshot.meta.get("cut") if cut is None else cut,
    )


def _log(run: Run, trained: Trained) -> None:
    """Write down what went into a training and what came out of it."""
    fitted, lineage, estimator = trained.fitted, trained.bundle.manifest.lineage, trained.fitted.pipeline.steps[-1][1]
    run.log(
        params={"seed": lineage.seed, "rows": lineage.rows, "estimator": type(estimator).__name__, **estimator.get_params(deep=False)},
        metrics={
            **fitted.metrics,
            **{f"{name}_{side}": bound for name, bounds in fitted.intervals.items() for side, bound in zip(SIDES, bounds, strict=True)},
            **{f"cv_{name}_{what}": value for name, over in fitted.cv.items() for what, value in over.items()},
            **{f"baseline_{name}": value for name, value in fitted.baseline.items()},
            "parity_share_beyond": trained.parity.share_beyond,
            "parity_max_difference": trained.parity.max_difference,
            "latency_p95": trained.latency,
        },
        tags={
            DIGEST_TAG: trained.bundle.digest,
            "treadle.data": lineage.data_digest,
            "treadle.snapshot": lineage.snapshot,
            "treadle.source": lineage.data_source,
            "treadle.simulated": str(lineage.simulated).lower(),
            "treadle.commit": lineage.code_commit,
        },
    )
    run.attach("card.json", trained.bundle.card)
    run.attach("lineage.json", msgspec.to_builtins(lineage))
