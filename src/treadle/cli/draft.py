"""Commands that draft a project: init."""

from typing import Annotated

import typer

from treadle.cli.options import Json


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(init)


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new project, which is that of its model.")],
    origin: Annotated[
        str, typer.Option("--from", metavar="FILE|URL", help="A CSV or Parquet file, its URL, or the URL of a database (with --table).")
    ],
    target: Annotated[list[str] | None, typer.Option("--target", metavar="COLUMN", help="The column to predict.")] = None,
    table: Annotated[str | None, typer.Option("--table", help="Which table of the database.")] = None,
    guess_target: Annotated[bool, typer.Option("--guess-target", help="Guess the column to predict, and say which.")] = False,
    json: Json = False,
) -> None:
    """Look at a table and write a working project for it, saying aloud what was assumed."""
    from treadle import api
    from treadle.console import drafted, out

    made = api.init(name, origin, target, table=table, guess_target=guess_target)
    if json:
        out.answer(made, json=True, text="")
        return
    for part in drafted.parts(made):
        out.answer(made, json=False, text=part)
