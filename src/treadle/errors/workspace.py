"""Failures of finding a workspace and reading its settings."""

from collections.abc import Sequence
from pathlib import Path

from treadle.errors.base import TreadleError


class WorkspaceNotFound(TreadleError):
    """No ``treadle.toml`` in this folder or above it."""

    def __init__(self, start: Path) -> None:
        super().__init__(
            f"No workspace: neither {start} nor a folder above it holds a treadle.toml.",
            fix="Go to the folder of your workspace, name it with TREADLE_WORKSPACE, or make one: "
            "`treadle init NAME --from TABLE --target COLUMN`, or an empty treadle.toml beside a projects/ folder.",
        )


class SettingsInvalid(TreadleError):
    """A setting has an unknown name or a value that is not allowed."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        super().__init__(
            f"The settings in {source} cannot be used.",
            problems=problems,
            fix="docs/reference/settings.md lists every setting.",
        )


class StillRunning(TreadleError):
    """State cannot be taken away while a process works with it."""

    def __init__(self, home: Path, running: Sequence[str]) -> None:
        super().__init__(
            f"Nothing was reset: something still works with {home}.",
            problems=running,
            fix="Stop it, then type the same command again.",
        )


class ResetUnconfirmed(TreadleError):
    """The name that was typed is not that of what would be reset."""

    def __init__(self, wanted: str, typed: str) -> None:
        super().__init__(
            f"Nothing was reset: {typed!r} was typed, not {wanted!r}.", fix="Type the command again, or give --yes to be asked nothing."
        )
