"""Commands about labels in files: labels import."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from treadle.cli.options import Json

if TYPE_CHECKING:
    from treadle.data.label_import import Imported

app = typer.Typer(
    name="labels", help="Tell the truth later, by the file.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


def register(app_: typer.Typer) -> None:
    """Add the commands of this module."""
    app_.add_typer(app)


@app.callback()
def _labels() -> None:
    """Tell the truth later, by the file."""


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, Parquet or JSON (lines) with a label per line.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Name of the model.")],
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="PART=COLUMN: which column holds prediction_id, request_id, entity, value or at."),
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Import the good lines although others are bad.")] = False,
    json: Json = False,
) -> None:
    """Put the labels of a file into the log. A second time adds nothing; a bad line refuses the file."""
    from treadle import api
    from treadle.console import out

    imported = api.labels_import(file, model, columns=_parts(column or []), skip_bad=skip_bad)
    out.answer(imported, json=json, text=_told(imported))


def _parts(given: list[str]) -> dict[str, str]:
    parts = {}
    for text in given:
        part, equals, name = text.partition("=")
        if not (part and equals and name):
            message = f"{text!r} is not PART=COLUMN, such as value=churned."
            raise typer.BadParameter(message, param_hint="--column")
        parts[part.strip()] = name.strip()
    return parts


def _told(imported: "Imported") -> str:
    counted = f"{imported.read} read, {imported.new} new, {imported.known} already there."
    lines = [f"{counted} Of the new ones {imported.joined} are joined and {imported.waiting} wait for their prediction."]
    if imported.refused:
        lines.append(f"{imported.refused} bad lines were left out; they are kept, with the reason, in {imported.kept}.")
    return "\n".join(lines)
