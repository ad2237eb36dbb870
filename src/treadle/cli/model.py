"""Commands that make versions and give them roles: train, evaluate, gate, promote, switch, rollback."""

from typing import TYPE_CHECKING, Annotated

import typer

from treadle.cli.options import Json, ModelName, Reason, Seed, Version, named
from treadle.cli.options import models as known

if TYPE_CHECKING:
    from treadle.state.deployments import Deployment


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (train, evaluate, gate, promote, switch, rollback):
        app.command()(command)


def train(
    model: ModelName,
    seed: Seed = 42,
    snapshot: Annotated[
        str | None, typer.Option("--snapshot", help="Digest of a snapshot to train on; without it, the data of the contract.")
    ] = None,
    turn: Annotated[str | None, typer.Option("--turn", hidden=True, help="Turn of the loop that asks for it.")] = None,
    cut: Annotated[float | None, typer.Option("--cut", hidden=True, help="Time of the latest prediction in the snapshot.")] = None,
    json: Json = False,
) -> None:
    """Train a version, evaluate it, and register it. It gets no role by this."""
    from treadle import api
    from treadle.console import out

    if not json:
        out.say(f"Training {model}: loading what trains, and its data.")
    registered = api.train(model, seed=seed, turn=turn, snapshot=snapshot, cut=cut, tell=out.teller(json=json))
    out.answer(
        registered, json=json, text=f"Next: `treadle evaluate {model}` shows how it did, `treadle promote {model}` gates it and serves it."
    )


def evaluate(model: ModelName, version: Version = None, json: Json = False) -> None:
    """Show how a version did on its holdout, beside the trivial baseline and the champion."""
    from treadle import api
    from treadle.console import evaluation, out

    with out.working(f"Looking up what was measured of {model}"):
        report = api.evaluate(model, version)
    out.answer(report, json=json, text=evaluation.table(report))


def gate(model: ModelName, version: Version = None, json: Json = False) -> None:
    """Judge a version by the policy and record the verdict. Exit code 3 when it is refused."""
    from treadle import api
    from treadle.console import out

    with out.working(f"Judging {model}"):
        verdict = api.gate(model, version)
    out.answer(verdict, json=json, text=out.verdict_text(verdict))
    if not verdict.passed:
        raise typer.Exit(3)


def promote(model: ModelName, version: Version = None, json: Json = False) -> None:
    """Give a version all traffic, if the gate lets it through. Exit code 3 when it is refused."""
    from treadle import api
    from treadle.console import out

    with out.working(f"Judging {model}"):
        verdict, deployment = api.promote(model, version)
    if deployment is None:
        out.answer(verdict, json=json, text=out.verdict_text(verdict))
        raise typer.Exit(3)
    out.answer(deployment, json=json, text=f"{model} version {verdict.version} is champion in generation {deployment.generation}.")


def switch(
    versions: Annotated[list[str], typer.Argument(metavar="MODEL=VERSION...", help="Which version of which model, as in iris=3 churn=5.")],
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Give a version of each of several models all traffic, in one transaction: all of them, or none. Exit code 3 when one is refused."""
    from treadle import api
    from treadle.console import out

    pairs = [named(text, int, "MODEL=VERSION, such as iris=3") for text in versions]
    asked = dict(pairs)
    twice = next((model for place, (model, _) in enumerate(pairs) if model in dict(pairs[:place])), None)
    if twice is not None:
        message = f"{twice} is named twice: a model has one champion."
        raise typer.BadParameter(message)
    with out.working(f"Switching {', '.join(asked)}"):
        done = api.switch(asked, reason=reason)
    told = "\n".join(f"{one.model} version {asked[one.model]} is champion in generation {one.generation}." for one in done)
    out.answer(done, json=json, text=told)


def rollback(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Names of the models.", autocompletion=known)],
    to: Annotated[
        int | None, typer.Option("--to", help="Generation whose roles come back; without it, the last one with another champion.")
    ] = None,
    reason: Reason = "Rolled back by hand.",
    json: Json = False,
) -> None:
    """Bring back the roles of an older generation, as a new one; of several models in one transaction: of all of them, or of none."""
    from treadle import api
    from treadle.console import out

    if len(models) > 1 and to is not None:
        message = "--to names a generation of one model: give one MODEL, or leave --to out."
        raise typer.BadParameter(message)
    with out.working(f"Rolling {', '.join(models)} back"):
        done = api.rollback(models, reason=reason) if len(models) > 1 else [api.rollback(models[0], to=to, reason=reason)]
    out.answer(done if len(models) > 1 else done[0], json=json, text="\n".join(map(_back, done)))


def _back(deployment: "Deployment") -> str:
    champion = deployment.champion.version if deployment.champion else "nobody"
    return f"{deployment.model} is back at version {champion}, in generation {deployment.generation}."
