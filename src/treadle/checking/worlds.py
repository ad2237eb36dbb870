"""The simulated world keeps its promises: nothing has changed before the shift, and after it there is something to learn.

A world that does not is good for no drill, but it harms no model: it is warned of, unless it cannot be drawn from.
"""

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from treadle.bundle import profile
from treadle.checking.case import Case, Found, Refused
from treadle.data.frame import matrix, target
from treadle.data.validate import check
from treadle.monitoring import drift
from treadle.monitoring.drift import DriftReport
from treadle.simulation.learned import LearnedWorld
from treadle.simulation.world import World
from treadle.training.importance import importances
from treadle.training.metrics import better, measure
from treadle.training.pipeline import build_pipeline, scores_of

ROWS = 2000
"""How many rows are drawn from each side of the shift, to be looked at and to be learned from."""

WORLD_FIX = 'docs/guides/project.md says what a world promises, under "The world".'


def simulates(case: Case) -> Found:
    """Draw rows from both sides of the shift; they must keep the contract."""
    own = case.project.has("simulate")
    world: World = case.project.hook("simulate")(case.frame, case.seed) if own else LearnedWorld(case.interface, case.frame, case.seed)
    count = max(ROWS, case.contract.policy.drift.min_rows)
    case.made["before"] = before = world.draw(count)
    case.made["after"] = after = world.draw(count, shifted=True)
    case.made["later"] = world.draw(count, shifted=True)
    for when, rows in (("before", before), ("after", after)):
        if len(rows) != count:
            raise Refused(f"draw({count}) gives {len(rows)} rows {when} the shift.", fix="Return as many rows as are asked for.")
        problems = check(case.contract, rows).problems
        if problems:
            raise Refused(f"Rows from {when} the shift break the contract: {problems[0].message}.", fix="Correct simulate() in model.py.")
    return Found("simulate() of model.py" if own else "model.py has no simulate(): a world is learned from the rows")


def before(case: Case) -> Found:
    """Hold rows from before the shift against the known ones: they must not count as drifted, nor be harder."""
    report, rows = _drift(case, case.made["before"]), case.made["before"]
    if report.inputs_drifted:
        return Found(f"its rows count as drifted: {' '.join(report.reasons)}", WORLD_FIX, warns=True)
    metric, known = case.contract.metric, case.made.get("metric")
    value = _value(case, case.pipeline, rows)
    if known is not None and value is not None:
        limit = max(2 * case.contract.policy.quality.max_drop, 0.15 * abs(known))
        if better(metric) * (known - value) > limit:
            reason = f"the model has {metric} {value:.4g} on its rows, {known:.4g} on rows held out"
            return Found(reason, WORLD_FIX, warns=True)
        return Found(f"nothing has drifted, and {metric} is {value:.4g} where it is {known:.4g} on rows held out")
    return Found("nothing has drifted")


def after(case: Case) -> Found:
    """Hold rows from after the shift against the known ones: it must be seen, and a model that learns from them must do better."""
    report, metric = _drift(case, case.made["after"]), case.contract.metric
    recent, fresh = case.made["after"], case.made["later"]
    y = target(case.interface, recent)
    if case.interface.task != "regression" and len(np.unique(y)) < len(case.interface.target.classes):
        return Found("no row after the shift is of some class: nothing new can be learned", WORLD_FIX, warns=True)
    renewed = build_pipeline(case.interface, case.project.hook("build")(case.seed)).fit(matrix(case.interface, recent), y)
    old, new = _value(case, case.pipeline, fresh), _value(case, renewed, fresh)
    if old is None or new is None:
        return Found(f"{metric} is not defined on its rows", WORLD_FIX, warns=True)
    told = f"{metric} of the old model {old:.4g}, of one that learned from {len(recent)} new rows {new:.4g}"
    if better(metric) * (new - old) <= 0:
        return Found(f"no better model was found: {told}", WORLD_FIX, warns=True)
    worse = "the inputs have drifted" if report.inputs_drifted else "the inputs look the same, only labels show it"
    return Found(f"{worse}; {told}")


def _drift(case: Case, rows: DataFrame) -> DriftReport:
    """Hold rows against all known ones by the policy, weighted by what each feature means to the model on rows held out."""
    sample, interface = case.sample, case.interface
    if "importances" not in case.made:
        judged = (sample.judge, sample.y_judge)
        case.made["importances"] = importances(case.pipeline, interface, case.contract.metric, judged, seed=case.seed)
        known = matrix(interface, case.frame)
        case.made["profile"] = profile.build(interface, known, case.engine.run(known))
    reference = case.made["profile"]
    encoded = matrix(interface, rows)
    counts = reference.layout.count(encoded, case.engine.run(encoded))
    return drift.assess(reference.layout, reference.counts, counts, case.made["importances"], case.contract.policy.drift)


def _value(case: Case, pipeline: object, rows: DataFrame) -> float | None:
    scores: NDArray[np.floating] = scores_of(pipeline, case.interface, matrix(case.interface, rows))
    return measure(case.interface, target(case.interface, rows), scores).get(case.contract.metric)
