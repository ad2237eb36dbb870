"""Every failure that a person can act on, in the order of the rooms that raise it.

Each class owns its sentence: what failed, with which value, what is allowed, and what to do next.
Errors become text or an HTTP status only at the edges (``cli`` and ``serving``).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple


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


# bundle


class BundleNotFound(TreadleError):
    """No bundle with this digest in the place."""

    def __init__(self, digest: str, folder: Path) -> None:
        super().__init__(
            f"There is no bundle {digest} in {folder}.",
            fix="Copy the folder of that name from another host or from a backup, or train the version again.",
        )


class BundleCorrupt(TreadleError):
    """A file of a bundle is not the one that was sealed."""

    def __init__(self, digest: str, file: str, *, expected: str, found: str) -> None:
        self.digest = digest
        self.file = file
        super().__init__(
            f"The file {file} of bundle {digest} is not the one that was sealed: expected {expected}, found {found}.",
            fix="Delete the folder of this bundle and copy it from another host or from a backup, or train the version again.",
        )


class BundleInvalid(TreadleError):
    """The content does not make a bundle, whole as its bytes may be."""

    def __init__(self, file: str, reason: str) -> None:
        self.file = file
        super().__init__(f"No bundle can be made of this: {file} {reason}.", fix="docs/architecture/bundle.md says what a bundle holds.")


# engine


class GraphInvalid(TreadleError):
    """A graph cannot be loaded, or does not have the input and output that the interface asks for."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"The graph of {name} cannot be used: {reason}",
            fix="docs/architecture/bundle.md describes the matrix and the scores; train the version again.",
        )


class InferenceFailed(TreadleError):
    """A graph gave no usable scores for these rows."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The graph of {name} failed on these rows: {reason}")


class FieldProblem(NamedTuple):
    """One refused value of a request: ``field`` as a path such as rows.3.tenure, ``value`` fit for JSON."""

    field: str
    value: str | float | bool | None
    allowed: str


class RequestInvalid(TreadleError):
    """The rows of a request do not fit the interface; ``fields`` holds each refused value, up to ``listed`` of them."""

    listed = 100

    def __init__(self, fields: Sequence[FieldProblem]) -> None:
        self.fields = tuple(fields[: self.listed])
        count = len(fields)
        more = f"; the first {self.listed} are listed" if count > self.listed else ""
        super().__init__(
            f"The request has {count} {'problem' if count == 1 else 'problems'}{more}.",
            problems=[f"{field or 'the row'} is {value!r}; allowed: {allowed}" for field, value, allowed in self.fields],
            fix="GET /models/<model> shows every feature, and an example that works.",
        )


class LabelInvalid(TreadleError):
    """A label is not a value that the target can have."""

    def __init__(self, value: object, target: str, allowed: str) -> None:
        self.value = value
        self.allowed = allowed
        super().__init__(f"The label {value!r} is not a value of {target}: allowed is {allowed}.")


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
