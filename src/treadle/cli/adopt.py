"""Commands that bring a model that exists already: adopt."""

from typing import Annotated

import typer

from treadle.cli.options import Json


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(adopt)


def adopt(
    function: Annotated[str, typer.Argument(metavar="FILE.py:function", help="Returns an estimator, or an estimator, X and y.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new project, which is that of its model.")],
    origin: Annotated[
        str, typer.Option("--from", metavar="FILE|URL", help="Table to train it on, where the function returns no rows.")
    ] = "",
    target: Annotated[str | None, typer.Option("--target", metavar="COLUMN", help="The column of that table to predict.")] = None,
    table: Annotated[str | None, typer.Option("--table", help="Which table of a database.")] = None,
    json: Json = False,
) -> None:
    """Make a project of an estimator that a function of yours makes: a pipeline over the columns of a DataFrame."""
    from treadle import api
    from treadle.console import drafted, out

    made = api.adopt(function, name, origin=origin, target=target, table=table)
    if json:
        out.answer(made, json=True, text="")
        return
    if made.drafted is not None:
        for part in drafted.parts(made.drafted):
            out.answer(made, json=False, text=part)
    out.answer(made, json=False, text=f"{made.estimator} is adopted in {made.folder}.\nNext: {', '.join(f'`{one}`' for one in made.next)}.")
