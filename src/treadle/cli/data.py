"""Look at the data before a model does: validate."""

from pathlib import Path
from typing import Annotated

import typer

from treadle.cli.options import Json, ModelName, Seed


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(validate)


def validate(
    model: ModelName,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Raw file to check, read by load() in model.py.")] = None,
    snapshot: Annotated[str | None, typer.Option("--snapshot", help="Digest of a snapshot to check.")] = None,
    seed: Seed = 42,
    json: Json = False,
) -> None:
    """Check the data of the contract, or a file, and write a report. Exit code 3 when they are refused."""
    from treadle import api
    from treadle.console import out, validation

    if file is not None and snapshot is not None:
        message = "--file and --snapshot are two things to check: give one of them."
        raise typer.BadParameter(message)
    kept = api.validate(model, file=file, snapshot=snapshot, seed=seed)
    out.answer({**kept.report.to_json(), "folder": kept.folder}, json=json, text=validation.shown(model, kept))
    if not kept.report.passed:
        raise typer.Exit(3)
