"""Break something on purpose: break."""

from typing import Annotated, get_args

import typer

from treadle.cli.options import Json, ModelName, Url
from treadle.drills.report import Kind

KINDS = get_args(Kind)


def _kinds(incomplete: str) -> list[str]:
    return [kind for kind in KINDS if kind.startswith(incomplete)]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("break")(break_)


def break_(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"What to break: {', '.join(KINDS)}.", autocompletion=_kinds)],
    model: ModelName,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=1, help="How long it may take; without it, as long as it usually does.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulated world.")] = 1,
    url: Url = None,
    json: Json = False,
) -> None:
    """Break something of a running workspace on purpose, and see whether the loop holds. Exit code 3 when it does not."""
    from treadle import api
    from treadle.console import drilling, out
    from treadle.telling import nobody

    if not json:
        drilling.announce(kind, model)
    report = api.drill(kind, model, seconds=seconds, seed=seed, url=url, tell=nobody if json else out.say)
    out.answer(report, json=json, text=drilling.told(report))
    if not report.seen.held:
        raise typer.Exit(3)
