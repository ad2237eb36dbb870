"""What every error has in common: a sentence, its details, and what to do next."""

from collections.abc import Iterable, Sequence

ANY_MODEL = "<model>"
"""Stands in a ``fix`` for the name of a model that is not known where the error is raised; who knows it fills it in."""


def choose_from(names: Iterable[str]) -> str:
    """Return "choose from a, b" for the names that exist, or say that there are none."""
    known = ", ".join(sorted(names))
    return f"choose from {known}" if known else "there are none yet"


class TreadleError(Exception):
    """The base of all of Treadle's own errors.

    ``what`` is the sentence that names the thing and the value, ``fix`` the next thing to do, and
    ``problems`` one line per detail. ``exit_code`` is what a command ends with.
    """

    exit_code = 1

    def __init__(self, what: str, *, fix: str = "", problems: Sequence[str] = ()) -> None:
        self.what = what
        self.fix = fix
        self.problems = tuple(problems)
        super().__init__("\n".join([what, *(f"  - {line}" for line in problems), *([fix] if fix else [])]))

    @property
    def sentence(self) -> str:
        """What failed, with its details, in one line."""
        return " ".join([self.what, *self.problems])
