"""The command that reads what happened: events."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from treadle.cli.options import Json, models

if TYPE_CHECKING:
    from treadle.state.events import Event


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(events)


def events(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Name of the model; without it, all of them.", autocompletion=models)
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="How long ago (2h, 30d), or a day or moment (2026-11-20, 2026-11-20T14:00).")
    ] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="turn.opened, or all that begin so: turn.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many, the last ones.", min=1)] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens from now on, until Ctrl-C.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Check that the record is whole; exit code 3 when it is not.")] = False,
    accept_restart: Annotated[
        int | None,
        typer.Option(
            "--accept-restart", metavar="NUMBER", help="Accept that the signed heads were lost, as this event tells; with --reason.", min=1
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why it is accepted, for the record.")] = None,
    json: Json = False,
) -> None:
    """Read what happened as a diary, or check that nobody has changed it."""
    from treadle import api
    from treadle.console import diary, out

    if accept_restart is None and reason is not None:
        message = "--reason goes with --accept-restart."
        raise typer.BadParameter(message)
    if verify or accept_restart is not None:
        found = api.events_verify() if accept_restart is None else api.events_accept_restart(accept_restart, reason=reason or "")
        told = {"events": found.events, "heads": found.heads, "last": found.last, "unsigned": found.unsigned, "restart": found.restart}
        out.answer(told, json=json, text=diary.audit_text(found))
        return
    past = api.events(model, since=since, kind=kind, limit=limit)
    if json and not follow:
        out.answer(past, json=True, text="")
        return
    book = diary.Diary()
    for event in _all(past, model, kind, follow=follow):
        if json:
            out.line(event)
        else:
            for line in book.lines([event]):
                out.console.print(line)
    if not past and not follow and not json:
        out.say("Nothing of this has happened.")


def _all(past: "Sequence[Event]", model: str | None, kind: str | None, *, follow: bool) -> "Iterator[Event]":
    from treadle import api

    return chain(past, api.events_follow(model, kind=kind, after=past[-1].seq if past else None)) if follow else iter(past)
