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
    from treadle.console import out
    from treadle.registry.versions import train_and_register

    with out.opened() as (workspace, store):
        registered = train_and_register(
            workspace, store, out.project(workspace, model), seed=seed, turn_id=turn, snapshot=snapshot, cut=cut, tell=out.teller(json=json)
        )
    out.answer(
        registered, json=json, text=f"Next: `treadle evaluate {model}` shows how it did, `treadle promote {model}` gates it and serves it."
    )


def evaluate(model: ModelName, version: Version = None, json: Json = False) -> None:
    """Show how a version did on its holdout, beside the trivial baseline and the champion."""
    from treadle.console import evaluation, out

    with out.opened() as (workspace, store):
        report = evaluation.evaluate(workspace, store, out.project(workspace, model), version)
    out.answer(report, json=json, text=evaluation.table(report))


def gate(model: ModelName, version: Version = None, json: Json = False) -> None:
    """Judge a version by the policy and record the verdict. Exit code 3 when it is refused."""
    from treadle.console import out
    from treadle.loop import Loop

    with out.opened() as (workspace, store):
        verdict = Loop(workspace, store).gate(out.project(workspace, model), version)
    out.answer(verdict, json=json, text=out.verdict_text(verdict))
    if not verdict.passed:
        raise typer.Exit(3)


def promote(model: ModelName, version: Version = None, json: Json = False) -> None:
    """Give a version all traffic, if the gate lets it through. Exit code 3 when it is refused."""
    from treadle.console import out
    from treadle.loop import Loop

    with out.opened() as (workspace, store):
        verdict, deployment = Loop(workspace, store).promote(out.project(workspace, model), version)
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
    from treadle.console import out
    from treadle.loop import Loop

    with out.opened() as (workspace, store):
        deployment = Loop(workspace, store).rollback(out.project(workspace, model), reason=reason, actor=out.person(), to=to)
    champion = deployment.champion.version if deployment.champion else "nobody"
    out.answer(deployment, json=json, text=f"{model} is back at version {champion}, in generation {deployment.generation}.")
