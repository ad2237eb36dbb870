"""Make versions and give them roles: train, evaluate, gate, promote, switch, rollback."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, overload

from treadle.api.opening import Place, acting, opened
from treadle.telling import Tell, nobody

if TYPE_CHECKING:
    from treadle.console.evaluation import Evaluation
    from treadle.registry.tracking import Registered
    from treadle.state.deployments import Deployment
    from treadle.state.verdicts import Verdict


def train(
    model: str,
    *,
    seed: int = 42,
    snapshot: str | None = None,
    turn: str | None = None,
    cut: float | None = None,
    workspace: Place = None,
    tell: Tell = nobody,
) -> "Registered":
    """Train a version, evaluate it, and register it. It gets no role by this.

    Args:
        model: name of the project.
        seed: of the split and the estimator.
        snapshot: digest of a snapshot to train on; without it, the data of the contract.
        turn: the turn of the loop that asks for it.
        cut: time of the latest prediction in the snapshot, in epoch seconds.
        workspace: where; without it, the workspace of the current folder.
        tell: called with what has been done.
    """
    from treadle.projects import find
    from treadle.registry.versions import train_and_register

    with opened(workspace) as (place, store):
        return train_and_register(place, store, find(place, model), seed=seed, turn_id=turn, snapshot=snapshot, cut=cut, tell=tell)


def evaluate(model: str, version: int | None = None, *, workspace: Place = None) -> "Evaluation":
    """Return how a version (the newest, if none is named) did on its holdout, beside the trivial baseline and the champion."""
    from treadle.console import evaluation
    from treadle.projects import find

    with opened(workspace) as (place, store):
        return evaluation.evaluate(place, store, find(place, model), version)


def gate(model: str, version: int | None = None, *, workspace: Place = None) -> "Verdict":
    """Judge a version by the policy as it is now, and record the verdict.

    Raises:
        RoleMissing: you may only look.
    """
    from treadle.loop import Loop
    from treadle.projects import find

    with opened(workspace) as (place, store):
        acting(place, "operate")
        return Loop(place, store).gate(find(place, model), version)


def promote(model: str, version: int | None = None, *, workspace: Place = None) -> "tuple[Verdict, Deployment | None]":
    """Gate a version and, if it passes, give it all traffic. Returns the verdict, and the deployment unless it was refused.

    A verdict that people have spoken about, and that still holds, is not given anew: it is what they agreed to.

    Raises:
        ConsentMissing: the gate lets it pass, but people must agree (``policy.approval``), or one of them has refused.
        AlreadyChampion: it has all the traffic there is.
    """
    from treadle.loop import Loop
    from treadle.projects import find

    with opened(workspace) as (place, store):
        return Loop(place, store).promote(find(place, model), version, actor=acting(place, "operate").name)


def switch(versions: Mapping[str, int], *, reason: str = "", workspace: Place = None) -> "list[Deployment]":
    """Give a version of each of several models all traffic, in one transaction: all of them, or none.

    Each needs what ``promote`` asks: the gate's verdict, which is asked for where none holds, and the people of the policy.

    Args:
        versions: number of the version by model, as in ``{"iris": 3, "churn": 5}``.
        reason: why, for the record.
        workspace: where; without it, the workspace of the current folder.

    Raises:
        NoneSwitched: one of them could not be, and the error says which and why; none was.
    """
    from treadle.loop import Loop
    from treadle.projects import find

    with opened(workspace) as (place, store):
        actor = acting(place, "operate").name
        asked = [(find(place, model), version) for model, version in versions.items()]
        return Loop(place, store).switch(asked, reason=reason, actor=actor)


@overload
def rollback(model: str, *, to: int | None = None, reason: str = ..., workspace: Place = None) -> "Deployment": ...
@overload
def rollback(model: list[str], *, to: None = None, reason: str = ..., workspace: Place = None) -> "list[Deployment]": ...
def rollback(
    model: str | list[str], *, to: int | None = None, reason: str = "Rolled back by hand.", workspace: Place = None
) -> "Deployment | list[Deployment]":
    """Bring back the roles of an older generation (``to``, or the last one with another champion) as a new one.

    Of several models (a list of names) it is one transaction: all of them go back, or none, and a list comes back.

    Raises:
        NothingToRollBack, GenerationGone, RollbackRefused: there is none that can come back.
        NoneSwitched: any of these, for one of several models.
    """
    from treadle.loop import Loop
    from treadle.projects import find

    with opened(workspace) as (place, store):
        actor, loop = acting(place, "operate").name, Loop(place, store)
        if isinstance(model, str):
            return loop.rollback(find(place, model), reason=reason, actor=actor, to=to)
        return loop.roll_back([find(place, one) for one in model], reason=reason, actor=actor)
