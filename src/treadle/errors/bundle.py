"""Failures of bundles and of the engine that runs them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from treadle.errors.base import ANY_MODEL, TreadleError


class BundleNotFound(TreadleError):
    """No bundle with this digest in the place, nor in the one that hosts share, if there is one."""

    def __init__(self, digest: str, folder: Path, shared: str = "") -> None:
        super().__init__(
            f"There is no bundle {digest} in {folder}{f', nor in the shared place {shared}' if shared else ''}.",
            fix="Copy the folder of that name from another host or from a backup, or train the version again.",
        )


class BundleCorrupt(TreadleError):
    """A file of a bundle is not the one that was sealed; ``shared`` is the address of the place where it lies, if hosts share it."""

    def __init__(self, digest: str, file: str, *, expected: str, found: str, shared: str = "") -> None:
        self.digest = digest
        self.file = file
        where = f" in the shared place {shared}" if shared else ""
        fix = "Delete the folder of this bundle and copy it from another host or from a backup, or train the version again."
        super().__init__(
            f"The file {file} of bundle {digest}{where} is not the one that was sealed: expected {expected}, found {found}.",
            fix=f"{fix[:-1]}: docs/guides/shared-places.md." if shared else fix,
        )


class BundleInvalid(TreadleError):
    """The content does not make a bundle, whole as its bytes may be."""

    def __init__(self, file: str, reason: str) -> None:
        self.file = file
        super().__init__(f"No bundle can be made of this: {file} {reason}.", fix="docs/architecture/bundle.md says what a bundle holds.")


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

    def __init__(
        self, fields: Sequence[FieldProblem], *, fix: str = f"GET /models/{ANY_MODEL} shows every feature, and an example that works."
    ) -> None:
        self.fields = tuple(fields[: self.listed])
        count = len(fields)
        more = f"; the first {self.listed} are listed" if count > self.listed else ""
        super().__init__(
            f"The request has {count} {'problem' if count == 1 else 'problems'}{more}.",
            problems=[f"{field or 'the row'} is {value!r}; allowed: {allowed}" for field, value, allowed in self.fields],
            fix=fix,
        )


class LabelInvalid(TreadleError):
    """A label is not a value that the target can have."""

    def __init__(self, value: object, target: str, allowed: str) -> None:
        self.value = value
        self.allowed = allowed
        super().__init__(f"The label {value!r} is not a value of {target}: allowed is {allowed}.")
