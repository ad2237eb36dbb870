"""Commands by which people decide: approve, reject, pause, resume."""

from typing import TYPE_CHECKING, Annotated

import typer

from treadle.cli.options import Json, ModelName, Reason

if TYPE_CHECKING:
    from treadle.registry.consent import Standing

Why = Annotated[str, typer.Option("--reason", help="Why, for the record.", show_default=False)]
Judged = Annotated[int | None, typer.Option("--version", "-v", help="Version of the model; without it, the one that was judged last.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (approve, reject, pause, resume):
        app.command()(command)


def approve(model: ModelName, reason: Why, version: Judged = None, json: Json = False) -> None:
    """Agree that a version that has passed the gate takes a role. It counts for the gate's last verdict alone."""
    from treadle import api

    _answer(api.approve(model, version, reason=reason), json=json)


def reject(model: ModelName, reason: Why, version: Judged = None, json: Json = False) -> None:
    """Refuse a version; a canary of it is taken out. It stands until the same person approves it."""
    from treadle import api

    _answer(api.reject(model, version, reason=reason), json=json)


def pause(model: ModelName, reason: Why, json: Json = False) -> None:
    """Stop the loop of a model; a canary that does harm is still taken out."""
    from treadle import api
    from treadle.console import diary, out

    found = api.pause(model, reason=reason)
    out.answer(found, json=json, text=diary.pause_text(found, model))


def resume(model: ModelName, reason: Reason = "Resumed by hand.", json: Json = False) -> None:
    """Let the loop of a model go on."""
    from treadle import api
    from treadle.console import diary, out

    found = api.resume(model, reason=reason)
    out.answer(found, json=json, text=diary.pause_text(found, model))


def _answer(standing: "Standing", *, json: bool) -> None:
    from treadle.console import diary, out

    told = {
        "model": standing.model,
        "version": standing.version,
        "people": standing.people,
        "approved": [one.actor for one in standing.approvals],
        "refused": [one.actor for one in standing.refusals],
        "missing": standing.missing,
        "given": standing.given,
        "awaited": standing.awaited,
    }
    out.answer(told, json=json, text=diary.consent_text(standing))
