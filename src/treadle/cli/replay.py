"""The command that tries a policy out on the past: replay."""

from pathlib import Path
from typing import Annotated

import typer

from treadle.cli.options import Json, ModelName


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(replay)


def positive(text: str) -> float:
    """Return a duration such as 30d in seconds."""
    from treadle.times import seconds

    try:
        found = seconds(text)
    except ValueError as error:
        message = f"{text!r} is none; {error}"
        raise typer.BadParameter(message) from error
    if found <= 0:
        message = f"{text!r} is no stretch of time; give one above 0"
        raise typer.BadParameter(message)
    return found


def replay(
    model: ModelName,
    policy: Annotated[Path, typer.Option("--policy", help="File with policy keys, laid over the policy as an overlay is.")],
    since: Annotated[str, typer.Option("--since", help="How far back to begin.")] = "30d",
    step: Annotated[str, typer.Option("--step", help="How often to look.")] = "1h",
    json: Json = False,
) -> None:
    """Say what the loop would have done over the past under another policy, beside what the present one would have. Changes nothing."""
    from treadle import api
    from treadle.console import out, replayed

    done = api.replay(model, policy, since=positive(since), step=positive(step))
    out.answer(done, json=json, text=replayed.text(done))
    if not json and (table := replayed.table(done)) is not None:
        out.answer(done, json=False, text=table)
