"""The command that lets a version answer beside others: shadow."""

import os
from typing import Annotated

import typer

from treadle.cli.options import Json, ModelName
from treadle.cli.replay import positive

NICENESS = 10
"""The service comes first on the machine that both share."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(shadow)


def shadow(
    model: ModelName,
    version: Annotated[int | None, typer.Argument(metavar="VERSION", help="Number of the version; without it, the newest.")] = None,
    since: Annotated[str, typer.Option("--since", help="How far back to begin.")] = "7d",
    share: Annotated[float, typer.Option("--share", help="Share of the rows that it answers.", min=0.0001, max=1)] = 1.0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    every: Annotated[int, typer.Option("--every", help="With --follow: say how it stands after so many rows.", min=1)] = 1000,
    nice: Annotated[int, typer.Option("--nice", help="How far this process steps back; 0: not at all.", min=0, max=19)] = NICENESS,
    json: Json = False,
) -> None:
    """Let a version answer the logged rows of others, in this process, and say how it differs. Changes no deployment."""
    import threading

    from treadle import api
    from treadle.console import out, shadowed
    from treadle.retraining.shadow import ShadowReport, told_of
    from treadle.serving.supervisor import stopped_by_signals

    os.nice(nice)

    def tell(report: ShadowReport) -> None:
        if json:
            out.line(told_of(report))
        else:
            out.say(shadowed.line(report))

    stop = threading.Event()
    seconds = positive(since)
    if follow:
        with stopped_by_signals(stop):
            report = api.shadow(model, version, since=seconds, share=share, follow=True, every=every, tell=tell, stop=stop)
    else:
        report = api.shadow(model, version, since=seconds, share=share)
    out.answer(told_of(report), json=json, text=shadowed.text(report))
