"""Arguments and options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer


def models(incomplete: str) -> list[str]:
    """Return the models whose names begin so, for the completion of a shell; none where there is no workspace."""
    from treadle.errors import TreadleError
    from treadle.projects import names
    from treadle.settings import Workspace

    try:
        return [name for name in names(Workspace.find()) if name.startswith(incomplete)]
    except TreadleError:
        return []


Number = TypeVar("Number", int, float)


def named(text: str, kind: Callable[[str], Number], wanted: str) -> tuple[str, Number]:
    """Return the two halves of NAME=NUMBER.

    Raises:
        BadParameter: it is something else.
    """
    name, _, number = text.rpartition("=")
    message = f"{text!r} is not {wanted}."
    if not name:
        raise typer.BadParameter(message)
    try:
        return name, kind(number)
    except ValueError as error:
        raise typer.BadParameter(message) from error


ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="Name of the model, which is the name of its project.", autocompletion=models)
]
Version = Annotated[int | None, typer.Option("--version", "-v", help="Version of the model; without it, the newest.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
Url = Annotated[str | None, typer.Option("--url", help="Address of the service; without it, the workspace's own.")]
RowFile = Annotated[Path | None, typer.Option("--file", "-f", help="The same as FILE; - reads JSON from standard input.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]
