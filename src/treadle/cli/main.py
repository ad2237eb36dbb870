"""The ``treadle`` command. Commands import what they need when they run, so that ``--help`` is quick."""

import errno
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from treadle import __version__
from treadle.cli import (
    abtest,
    adopt,
    audit,
    check,
    consent,
    data,
    draft,
    drill,
    keys,
    labels,
    live,
    look,
    model,
    recovery,
    replay,
    retention,
    shadow,
    usage,
)

if TYPE_CHECKING:
    from treadle.errors import TreadleError

USAGE_EXIT = 2

_DISK = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT}

app = typer.Typer(
    name="treadle",
    help="One description per model; everything else is derived from it; the loop closes by itself.",
    no_args_is_help=True,
    # Plain help: drawing boxes would cost more than all the rest of the start.
    rich_markup_mode=None,
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


check.register(app)
data.register(app)
draft.register(app)
adopt.register(app)
model.register(app)
abtest.register(app)
live.register(app)
labels.register(app)
retention.register(app)
recovery.register(app)
replay.register(app)
shadow.register(app)
look.register(app)
drill.register(app)
audit.register(app)
consent.register(app)
keys.register(app)


def main() -> None:
    """Run a command; a failure becomes its sentence on stderr and its exit code."""
    try:
        code = app(prog_name="treadle", standalone_mode=False)
    except Exception as error:  # noqa: BLE001 -- the edge where errors become text
        if isinstance(error, usage.UsageError) and usage.asks_for_help(error):
            print(error, file=sys.stderr)  # noqa: T201 -- as below
            sys.exit(USAGE_EXIT)
        told = _told(error)
        print(f"treadle: {told}", file=sys.stderr)  # noqa: T201 -- the edge
        sys.exit(told.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _told(error: Exception) -> "TreadleError":
    """Return an error as one that has a sentence for a person."""
    import sqlite3

    from treadle.errors import DiskRefused, QuestionUnanswered, TreadleError, Unforeseen

    if isinstance(error, TreadleError):
        return error
    if isinstance(error, usage.UsageError):
        return usage.told(error, sys.argv[1:])
    if isinstance(error, typer.Abort):
        print()  # noqa: T201 -- ends the line of the question
        return QuestionUnanswered()
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _DISK):
        return DiskRefused(str(error.filename or "The disk"), error.strerror or str(error))
    if isinstance(error, sqlite3.Error):
        return DiskRefused("A database of SQLite", str(error))
    return Unforeseen(type(error).__name__, str(error), _kept_traceback(error))


def _kept_traceback(error: Exception) -> str:
    """Write the traceback to a file that stays, and return its name."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="treadle-", suffix=".log", delete=False) as file:
        traceback.print_exception(error, file=file)
    return file.name


if __name__ == "__main__":
    main()
