"""The ``treadle`` command. Commands import what they need when they run, so that ``--help`` is quick."""

import sys
from typing import Annotated

import typer

from treadle import __version__
from treadle.cli import live, look, model

app = typer.Typer(
    name="treadle",
    help="One description per model; everything else is derived from it; the loop closes by itself.",
    no_args_is_help=True,
    # Plain help: drawing boxes would cost more than all the rest of the start.
    rich_markup_mode=None,
    add_completion=False,
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _treadle(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True)] = False,
) -> None:
    """One description per model; everything else is derived from it; the loop closes by itself."""


model.register(app)
live.register(app)
look.register(app)


def main() -> None:
    """Run a command; a failure that a person can act on becomes its text and exit code 1."""
    from treadle.errors import TreadleError

    try:
        app()
    except TreadleError as error:
        print(f"treadle: {error}", file=sys.stderr)  # noqa: T201 -- the edge where errors become text
        sys.exit(1)


if __name__ == "__main__":
    main()
