"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model, which is the name of its project.")]
Version = Annotated[int | None, typer.Option("--version", "-v", help="Version of the model; without it, the newest.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
Url = Annotated[str | None, typer.Option("--url", help="Address of the service; without it, the workspace's own.")]
RowFile = Annotated[Path | None, typer.Option("--file", "-f", help="JSON file with one row or a list of rows; - reads standard input.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]
