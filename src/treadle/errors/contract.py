"""Failures of a project: its contract and its code."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from treadle.errors.base import TreadleError, choose_from


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
        there = list(known)
        new = name if re.fullmatch("[a-z][a-z0-9_]*", name) else "NAME"
        near = get_close_matches(name, there, n=1)
        meant = f"Did you mean {near[0]!r}? " if near else ""
        super().__init__(
            f"There is no project {name!r}: {choose_from(there)}.",
            fix=f"{meant}A project is a folder below projects/ with a model.yaml; "
            f"`treadle init {new} --from TABLE --target COLUMN` drafts one.",
        )


class ProjectCodeInvalid(TreadleError):
    """The ``model.py`` of a project cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The code of the project, {path}, cannot be used: {reason}", fix="docs/guides/project.md shows the functions a model.py has."
        )


class ContractBroken(TreadleError):
    """A contract was changed so that callers of the champion would be refused, or what is logged could not be read."""

    def __init__(self, model: str, champion: int, broken: Sequence[str], edit: str) -> None:
        other = f"{model}_2"
        super().__init__(
            f"The contract of {model} no longer takes all that its champion, version {champion}, takes.",
            problems=broken,
            fix=f"So that callers go on undisturbed, write this into model.yaml:\n\n{edit}\n"
            f"If the change is meant, it is another model: copy projects/{model} to projects/{other}, name it {other} in its model.yaml, "
            f"serve both and move the callers over; `treadle train {other}` makes its first version. Otherwise: `treadle train {model}`",
        )
