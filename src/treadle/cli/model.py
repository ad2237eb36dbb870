"""Commands that make versions and give them roles: train, evaluate, gate, promote, rollback."""

from typing import Annotated

import typer

from treadle.cli.options import Json, ModelName, Reason, Seed, Version


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (train, evaluate, gate, promote, rollback):
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


def rollback(
    model: ModelName,
    to: Annotated[
        int | None, typer.Option("--to", help="Generation whose roles come back; without it, the last one with another champion.")
    ] = None,
    reason: Reason = "Rolled back by hand.",
    json: Json = False,
) -> None:
    """Bring back the roles of an older generation, as a new one."""
    from treadle import api
    from treadle.console import out

    with out.working(f"Rolling {model} back"):
        deployment = api.rollback(model, to=to, reason=reason)
    champion = deployment.champion.version if deployment.champion else "nobody"
    out.answer(deployment, json=json, text=f"{model} is back at version {champion}, in generation {deployment.generation}.")
