"""Where every model stands: for ``status``, ``drift`` and ``why``."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from treadle.bundle.place import BundlePlace
from treadle.errors import ContractInvalid, StoreUnavailable, TreadleError
from treadle.monitoring.observe import Observation, observe
from treadle.projects import Project, find, names
from treadle.registry import explanation
from treadle.retraining.decide import decide, pause_sentence
from treadle.retraining.progress import progress
from treadle.retraining.situation import read_situation
from treadle.settings import Workspace
from treadle.state import deployments, log
from treadle.state.deployments import Deployment, Slot
from treadle.state.store import Store


@dataclass(frozen=True)
class ModelOverview:
    """One model: who answers, how it does, and what the loop does about it."""

    model: str
    generation: int | None
    slots: tuple[Slot, ...]
    drift_score: float | None
    drifted: bool | None
    drift: str
    quality_metric: str
    quality_value: float | None
    quality: str
    loop: str
    logged: dict[str, int]


def read(workspace: Workspace, store: Store, *, now: float) -> list[ModelOverview]:
    """Return the overview of every project of the workspace."""
    places = BundlePlace.of(workspace)
    return [_read_safely(workspace, store, places, name, now) for name in names(workspace)]


def _read_safely(workspace: Workspace, store: Store, places: BundlePlace, name: str, now: float) -> ModelOverview:
    """One model's broken contract must not hide the others."""
    try:
        project = find(workspace, name)
    except ContractInvalid as error:
        with store.read() as conn:
            deployment, logged = deployments.current(conn, name), log.totals(conn, name)
        slots, generation = (deployment.slots, deployment.generation) if deployment else ((), None)
        return ModelOverview(name, generation, slots, None, None, "", "", None, "", f"TROUBLE: {error}", logged)
    return _read_one(workspace, store, places, project, now)


def _read_one(workspace: Workspace, store: Store, places: BundlePlace, project: Project, now: float) -> ModelOverview:
    with store.read() as conn:
        deployment = deployments.current(conn, project.name)
        logged = log.totals(conn, project.name)
    metric = project.contract.policy.quality.metric or project.contract.metric
    if deployment is None or deployment.champion is None:
        todo = f"not deployed; next: treadle train {project.name}, then treadle promote {project.name}"
        return ModelOverview(project.name, None, (), None, None, "", metric, None, "", todo, logged)
    try:
        observation = observe(store, places, project, now=now)
    except StoreUnavailable:
        raise
    except TreadleError as error:
        # One model's trouble must not hide the others.
        return ModelOverview(
            project.name, deployment.generation, deployment.slots, None, None, "", metric, None, "", f"TROUBLE: {error}", logged
        )
    drift, quality = observation.drift, observation.quality
    return ModelOverview(
        model=project.name,
        generation=deployment.generation,
        slots=deployment.slots,
        drift_score=drift.score if drift.assessed else None,
        drifted=drift.drifted if drift.assessed else None,
        drift=_drift_cell(observation),
        quality_metric=metric,
        quality_value=quality.value,
        quality=_quality_cell(observation, metric),
        loop=loop_sentence(workspace, store, project, now=now),
        logged=logged,
    )


def loop_sentence(workspace: Workspace, store: Store, project: Project, *, now: float) -> str:
    """Return where the loop of a deployed model stands, and why, in a sentence."""
    with store.read() as conn:
        situation = read_situation(conn, project, now=now)
        held = f"{pause_sentence(situation.pause)} " if situation.pause is not None else ""
        if situation.open_turn is not None:
            return held + progress(conn, project, situation.open_turn, now=now).text
    return decide(situation, project.contract.policy.retrain, enabled=workspace.settings.retraining).reason


def _drift_cell(observation: Observation) -> str:
    drift = observation.drift
    if not drift.assessed:
        return f"{drift.rows} rows, too few"
    return f"{drift.score:.2f} {'DRIFTED' if drift.drifted else 'calm'} ({drift.rows} rows)"


def _quality_cell(observation: Observation, metric: str) -> str:
    quality = observation.quality
    if not quality.assessed:
        return f"{quality.rows} labelled rows, too few"
    return f"{metric} {quality.value:.3f} [{quality.low:.3f}, {quality.high:.3f}] {'BAD' if quality.bad else 'good'}"


def table(models: Sequence[ModelOverview]) -> Table:
    """Return the overview as a table."""
    drawn = Table(show_lines=True, title="Models")
    for column in ("model", "roles", "drift", "quality", "log", "loop"):
        drawn.add_column(column, overflow="fold")
    for one in models:
        drawn.add_row(one.model, _roles(one.slots), one.drift, one.quality, _log_cell(one.logged), one.loop)
    return drawn


def _log_cell(logged: Mapping[str, int]) -> str:
    waiting = f" ({logged['orphans']} without a prediction)" if logged.get("orphans") else ""
    return f"{logged.get('rows', 0)} rows\n{logged.get('labels', 0)} labels{waiting}\n{logged.get('failed', 0)} failed"


def _roles(slots: Sequence[Slot]) -> str:
    return "\n".join(f"{slot.role} v{slot.version} {slot.weight:.0%}" for slot in slots) or "-"


def drift_table(observation: Observation) -> Table | str:
    """Return the drift of each column as a table, or a sentence where there is nothing to judge yet."""
    drift = observation.drift
    if not drift.assessed:
        return " ".join(drift.reasons)
    drawn = Table(
        title=f"version {observation.version}, {drift.rows} rows, score {drift.score:.2f}: {'drifted' if drift.drifted else 'calm'}"
    )
    for column in ("column", "PSI", "Jensen-Shannon", "KS", "p-value", "verdict"):
        drawn.add_column(column, justify="left" if column in {"column", "verdict"} else "right")
    for one in (*drift.features, *drift.prediction):
        mark = "severe" if one.severe else "drifted" if one.drifted else "calm"
        drawn.add_row(one.name, f"{one.psi:.3f}", f"{one.js:.3f}", "" if one.ks is None else f"{one.ks:.3f}", f"{one.p_value:.1e}", mark)
    return drawn


def explain(workspace: Workspace, store: Store, project: Project, *, now: float) -> list[str]:
    """Return the last decision about a model in sentences, and where its loop stands now."""
    sentences = list(explanation.explain(store, project.name))
    if _deployed(store, project) is None:
        return [*sentences, f"Next: `treadle train {project.name}`, then `treadle promote {project.name}`."]
    return [*sentences, f"Now ({time.strftime('%H:%M:%S', time.localtime(now))}): {loop_sentence(workspace, store, project, now=now)}"]


def _deployed(store: Store, project: Project) -> Deployment | None:
    with store.read() as conn:
        return deployments.current(conn, project.name)
