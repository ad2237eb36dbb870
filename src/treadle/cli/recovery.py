"""Commands that carry a workspace away and make one of what was carried: backup, restore."""

from pathlib import Path
from typing import Annotated

import typer

from treadle.cli.options import Json


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (backup, restore):
        app.command()(command)


def backup(
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="Folder of the backup, which is made; it must not be there yet.")],
    json: Json = False,
) -> None:
    """Make a backup of the whole workspace as one folder, while it serves.

    What was answered before it began is in it: the state, MLflow, bundles, snapshots, projects, settings without passwords, the signed
    heads, and what the spool held. It is written under another name first, so that a killed one leaves nothing that looks like a backup.
    """
    from treadle import api
    from treadle.console import out, recovery

    with out.working("Copying the workspace …"):
        made = api.backup(destination)
    out.answer(recovery.made_facts(made), json=json, text=recovery.made(made))


def restore(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Folder of a backup.")],
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FOLDER", help="Folder of the workspace; without it, that of the current folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a workspace of a backup, in a place that holds nothing yet.

    Every byte is checked first. The settings of the new place say where everything goes: a backup of SQLite can be restored into
    PostgreSQL, and the other way round.
    """
    from treadle import api
    from treadle.console import out, recovery

    with out.working("Checking and laying out the backup …"):
        done = api.restore(source, into=into)
    out.answer(recovery.restored_facts(done), json=json, text=recovery.restored(done))
