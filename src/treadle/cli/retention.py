"""Commands that keep a workspace in bounds: gc, reset."""

from typing import Annotated

import typer

from treadle.cli.options import Json

Model = Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Name of one model; without it, the whole workspace.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (gc, reset):
        app.command()(command)


def gc(
    model: Model = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and remove nothing.")] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Give the room of deleted rows back to the disk; writers wait meanwhile.")
    ] = False,
    downloads: Annotated[bool, typer.Option("--downloads", help="Remove downloaded data too.")] = False,
    json: Json = False,
) -> None:
    """Remove what the policies no longer keep and nothing needs; nothing that is referenced ever goes.

    policy.retention says how long a model's log, versions and runs are kept, the setting cap_gb how large the home folder may become.
    It may run beside the service and the controller.
    """
    from treadle import api
    from treadle.console import out, retention

    done = api.gc(model, dry_run=dry_run, vacuum=vacuum, downloads=downloads)
    out.answer(retention.facts(done), json=json, text=retention.tables(done))
    if not json:
        out.say(retention.sentences(done))


def reset(
    model: Model = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    keys: Annotated[bool, typer.Option("--keys", help="Remove the people's keys too.")] = False,
    json: Json = False,
) -> None:
    """Forget one model, or all state of the workspace, after asking for its name. Projects are never touched."""
    from treadle import api
    from treadle.api.opening import found
    from treadle.console import out, retention
    from treadle.errors import ResetUnconfirmed

    place = found()
    wanted = model or place.root.name

    def ask(what: str) -> None:
        typed = typer.prompt(f"This removes {what}, for good. Type {wanted} to go on").strip()
        if typed != wanted:
            raise ResetUnconfirmed(wanted, typed)

    done = api.reset(model, keys=keys, workspace=place, confirm=None if yes else ask)
    out.answer(done, json=json, text=retention.cleared(done))
