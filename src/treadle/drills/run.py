"""The drills by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

from treadle.drills import bad_data, challenger, dead_controller, population
from treadle.drills.report import Kind, Plan, Report, Seen
from treadle.drills.scene import Scene


@dataclass(frozen=True)
class Drill:
    """One drill: its plan, how to run it, and how long it may take in seconds."""

    plan: Plan
    run: Callable[[Scene], Seen]
    seconds: float


DRILLS: dict[Kind, Drill] = {
    "drift": Drill(population.DRIFT, population.drift, 30),
    "no-labels": Drill(population.NO_LABELS, population.no_labels, 20),
    "bad-data": Drill(bad_data.PLAN, bad_data.bad_data, 30),
    "slow": Drill(challenger.PLANS["slow"], partial(challenger.challenger, harm="slow"), 180),
    "failing": Drill(challenger.PLANS["failing"], partial(challenger.challenger, harm="failing"), 180),
    "dead-controller": Drill(dead_controller.PLAN, dead_controller.dead_controller, 60),
}

KINDS: tuple[Kind, ...] = get_args(Kind)


def plan_of(kind: Kind, model: str) -> Plan:
    """Return the plan of a drill for one model."""
    plan = DRILLS[kind].plan
    return replace(plan, watch=tuple(command.format(model=model) for command in plan.watch))


def run(kind: Kind, scene: Scene) -> Report:
    """Run a drill to its end.

    Raises:
        DrillImpossible, ServiceUnreachable, NotDeployed: it cannot begin.
    """
    return Report(kind, scene.model, plan_of(kind, scene.model), DRILLS[kind].run(scene))
