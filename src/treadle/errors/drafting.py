"""Failures of drafting a project: of the table, of the target, of the name. Each ends in the command to type next."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from treadle.errors.base import TreadleError, choose_from

SHOWN = 30
"""How many columns an error lists."""


class ProjectNameInvalid(TreadleError):
    """A project cannot have this name."""

    def __init__(self, name: str, command: str) -> None:
        super().__init__(
            f"A project cannot be called {name!r}: a name has small letters, digits and underscores, and begins with a letter.",
            fix=f"Type `{command}`.",
        )


class ProjectExists(TreadleError):
    """There is a project of this name; it is never written over."""

    def __init__(self, name: str, folder: Path, command: str) -> None:
        super().__init__(
            f"There is a project {name!r} already, in {folder}; nothing was changed.",
            fix=f"Look at it with `treadle status`, or draft another: `{command}`.",
        )


class NoTable(TreadleError):
    """What was named is no table that can be read; ``fix`` ends in the next command."""

    def __init__(self, origin: str, reason: str, fix: str) -> None:
        super().__init__(f"{origin} cannot be read as a table: {reason}.", fix=fix)


class NoRows(TreadleError):
    """A table is empty, or has a header and nothing below it."""

    def __init__(self, origin: str, found: str, command: str) -> None:
        super().__init__(f"{origin} has no rows: {found}.", fix=f"Bring a file with rows, then type `{command}`.")


class TableNotNamed(TreadleError):
    """A database was named, but not which of its tables."""

    def __init__(self, database: str, known: Sequence[str], command: str) -> None:
        super().__init__(f"{database} is a database; say which table: {choose_from(known)}.", fix=f"Type `{command}`.")


class TableUnknown(TreadleError):
    """A database has no table of this name."""

    def __init__(self, table: str, database: str, known: Sequence[str], command: str) -> None:
        super().__init__(f"{database} has no table {table!r}: {choose_from(known)}.", fix=f"Type `{command}`.")


class TargetNotNamed(TreadleError):
    """Nobody said which column is to be predicted."""

    def __init__(self, columns: Sequence[str], command: str, guessing: str) -> None:
        super().__init__(
            f"Say which column is to be predicted; there are {_listed(columns)}.",
            fix=f"Type `{command}`, or let it be guessed: `{guessing}`.",
        )


class TwoTargets(TreadleError):
    """Several columns were named as the target."""

    def __init__(self, targets: Sequence[str], commands: Sequence[str]) -> None:
        super().__init__(
            f"A model predicts one column, and {len(targets)} are named: {', '.join(targets)}.",
            fix=f"Draft a project for each: {', '.join(f'`{command}`' for command in commands)}.",
        )


class TargetNotFound(TreadleError):
    """The table has no column of the target's name."""

    def __init__(self, target: str, columns: Sequence[str], command: str) -> None:
        near = get_close_matches(target, columns, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else f": there are {_listed(columns)}."
        super().__init__(f"There is no column {target!r}{meant}", fix=f"Type `{command}`.")


class TargetUnusable(TreadleError):
    """The column is there, but no model can learn it as it stands; ``fix`` ends in the next command."""

    def __init__(self, target: str, reason: str, fix: str) -> None:
        super().__init__(f"{target} cannot be predicted as it stands: {reason}.", fix=fix)


class TooFewRows(TreadleError):
    """There are fewer rows than can be parted into what is learnt from and what is judged on."""

    def __init__(self, origin: str, rows: int, needed: int, command: str) -> None:
        super().__init__(
            f"{origin} has only {rows} rows with a target; at least {needed} are needed to hold some out and learn from the rest.",
            fix=f"Bring more rows, then type `{command}`.",
        )


class NothingToLearnFrom(TreadleError):
    """No column is left as a feature."""

    def __init__(self, left_out: Sequence[str], command: str) -> None:
        super().__init__(
            "No column is left to learn from.", problems=left_out, fix=f"Bring columns that may explain the target, then type `{command}`."
        )


def _listed(columns: Sequence[str]) -> str:
    more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
    return ", ".join(columns[:SHOWN]) + more
