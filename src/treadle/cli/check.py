"""Hold projects against what Treadle asks of one: check."""

from typing import Annotated

import typer

from treadle.cli.options import Json, Seed, models


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(check)


def check(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Name of the model; without it, every project.", autocompletion=models)
    ] = None,
    seed: Seed = 42,
    json: Json = False,
) -> None:
    """Try all that a model needs, on a sample of its rows, and say what to do. Exit code 3 when something is wrong."""
    from treadle import api
    from treadle.console import out, outcomes

    found = api.check(model, seed=seed)
    tables = [outcomes.table(f"{one.model}: {outcomes.summary(one.outcomes)}", one.outcomes) for one in found]
    out.answer(found, json=json, text=tables)
    if not all(one.passed for one in found):
        raise typer.Exit(3)
