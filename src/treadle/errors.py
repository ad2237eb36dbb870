"""Every failure that a person can act on, in the order of the rooms that raise it.

Each class owns its sentence: what failed, with which value, what is allowed, and what to do next.
Errors become text or an HTTP status only at the edges (``cli`` and ``serving``).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path


def choose_from(names: Iterable[str]) -> str:
    """Return "choose from a, b" for the names that exist, or say that there are none."""
    known = ", ".join(sorted(names))
    return f"choose from {known}" if known else "there are none yet"


class TreadleError(Exception):
    """The base of all of Treadle's own errors.

    ``what`` is the sentence that names the thing and the value, ``fix`` the next thing to do, and
    ``problems`` one line per detail.
    """

    def __init__(self, what: str, *, fix: str = "", problems: Sequence[str] = ()) -> None:
        self.what = what
        self.fix = fix
        self.problems = tuple(problems)
        super().__init__("\n".join([what, *(f"  - {line}" for line in problems), *([fix] if fix else [])]))


# settings and workspace


class WorkspaceNotFound(TreadleError):
    """No ``treadle.toml`` in this folder or above it."""

    def __init__(self, start: Path) -> None:
        super().__init__(
            f"No workspace: neither {start} nor a folder above it holds a treadle.toml.",
            fix="Go to the folder of your workspace, name it with TREADLE_WORKSPACE, or make one: "
            "an empty treadle.toml beside a projects/ folder.",
        )


class SettingsInvalid(TreadleError):
    """A setting has an unknown name or a value that is not allowed."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        super().__init__(
            f"The settings in {source} cannot be used.",
            problems=problems,
            fix="docs/reference/settings.md lists every setting.",
        )


# the contract


class ContractInvalid(TreadleError):
    """A ``model.yaml`` (or a policy overlay) does not say what a contract must say."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        super().__init__(
            f"The contract {path} is not valid.",
            problems=problems,
            fix="docs/reference/contract.md describes every key; `treadle schema` prints the JSON Schema.",
        )


class ProjectNotFound(TreadleError):
    """No project of this name in the workspace or among the installed ones."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no project {name!r}: {choose_from(known)}.", fix="A project is a folder projects/<name>/ with a model.yaml.")


class ProjectCodeInvalid(TreadleError):
    """The ``model.py`` of a project cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"The code of the project, {path}, cannot be used: {reason}", fix="docs/guides/project.md shows the functions a model.py has.")


# data


class TargetInvalid(TreadleError):
    """The target of some rows is missing or is not what the contract allows."""

    def __init__(self, column: str, values: Sequence[object], count: int, classes: Sequence[str]) -> None:
        allowed = choose_from(classes) if classes else "a finite number"
        super().__init__(
            f"{count} rows have a target {column} that is not allowed, such as {', '.join(map(repr, values))}; allowed: {allowed}.",
            fix="Mend load() in model.py, or the target in model.yaml.",
        )


class SplitImpossible(TreadleError):
    """The rows cannot be parted as the contract asks."""

    def __init__(self, by: str, folds: int, reason: str) -> None:
        super().__init__(
            f"The rows cannot be split by {by} into a holdout and {folds} folds: {reason}.",
            fix="Bring more rows, or change interface.split in model.yaml.",
        )


# training


class MetricUnknown(TreadleError):
    """A policy or a command names a metric that does not exist or does not fit the task."""

    def __init__(self, name: str, task: str, known: Iterable[str]) -> None:
        super().__init__(f"{name!r} is not a metric of a {task} model: {choose_from(known)}.", fix="Name one of these in the policy of model.yaml.")


# serving: the log


class LogUnavailable(TreadleError):
    """A prediction could not be written down, so it may not be answered."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"The prediction log in {folder} cannot be written: {reason}. Without a log there is no answer.",
            fix="Free or mend that disk; nothing that was answered is lost.",
        )


# simulation


class ServiceUnreachable(TreadleError):
    """Nothing answers at the address of the service."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"No service answers at {url}: {reason}", fix="Start it with `treadle serve`, or name another with --url.")
