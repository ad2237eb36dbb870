"""Failures of what a person types: commands, files, addresses, the demo."""

from collections.abc import Sequence
from pathlib import Path

from treadle.errors.base import TreadleError


class CommandLineInvalid(TreadleError):
    """What was typed is no command line of Treadle; ``following`` can be typed next, or, if ``guessed``, was probably meant."""

    exit_code = 2

    def __init__(self, what: str, usage: str, following: str, *, guessed: bool = False) -> None:
        fix = f"Did you mean `{following}`?" if guessed else f"Next: `{following}`."
        super().__init__(what, problems=[usage] if usage else [], fix=fix)


class QuestionUnanswered(TreadleError):
    """A command asked before it did something, and nobody answered."""

    def __init__(self) -> None:
        super().__init__(
            "The question was not answered, so nothing was done.", fix="Type the command again, or give --yes to be asked nothing."
        )


class RowFileInvalid(TreadleError):
    """A file of rows cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The rows in {path} cannot be used: {reason}.",
            fix='Give a CSV, a Parquet file, or JSON: one object per row, a list of them, or {"rows": [...]}.',
        )


class AnswerFileInvalid(TreadleError):
    """Answers cannot be written to a file of this name."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"Answers cannot be written to {path}: {reason}.", fix="Name another file, such as `--out answers.csv`.")


class RowsUnanswered(TreadleError):
    """Only the first rows of a file could be answered."""

    def __init__(self, path: Path, answered: int, kept: Path, reason: str, *, problems: Sequence[str] = (), fix: str = "") -> None:
        what = f"Only the first {answered} rows of {path} are answered; their answers are in {kept}. {reason}"
        super().__init__(what, problems=problems, fix=fix or "Mend what is wrong, and ask for the other rows again.")


class ControllerBusy(TreadleError):
    """Another controller holds the lease, so this one must not act."""

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"Another controller is at work: {holder} holds the lease.", fix="Look what it does with `treadle status`, or stop it first."
        )


class DiskRefused(TreadleError):
    """The operating system refuses to read or write a file."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path} cannot be read or written: {reason}.",
            fix="Look whether the disk has room and whose the folder is; the setting home (TREADLE_HOME) names another one for all state.",
        )


class Unforeseen(TreadleError):
    """A failure that Treadle has no sentence for, which is a fault of Treadle."""

    def __init__(self, kind: str, said: str, log: str) -> None:
        super().__init__(f"This was not foreseen, {kind}: {said}. The traceback is in {log}; please report it.")


class DemoStuck(TreadleError):
    """The demo cannot go on."""

    def __init__(self, reason: str, logs: Path) -> None:
        super().__init__(f"The demo stopped: {reason}.", fix=f"The logs of its processes are in {logs}.")


class MomentInvalid(TreadleError):
    """A text that should name a moment does not."""

    def __init__(self, given: str) -> None:
        super().__init__(
            f"{given!r} is no moment: allowed is how long ago, as 2h or 30d, or a day or time, as 2026-11-20 or 2026-11-20T14:00.",
            fix="`treadle events --since 2h` shows the last two hours.",
        )
