"""What the policies say of slow and failing versions, as far as they can be read on this host, and read again when a file changes."""

from collections.abc import Iterable
from pathlib import Path

from treadle.errors import TreadleError
from treadle.projects import CONTRACT_FILE, find
from treadle.settings import Workspace
from treadle.spec.policy import ServingPolicy

_Stamp = tuple[tuple[int, int], ...]


class Policies:
    """The serving part of each model's policy. A host that serves need not have the projects: then what is usual counts."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._read: dict[str, tuple[_Stamp, ServingPolicy | None]] = {}

    def of(self, models: Iterable[str]) -> dict[str, ServingPolicy]:
        """Return those that can be read, by model. While a contract is broken, what it has said last counts."""
        for model in models:
            stamp = self._stamp(model)
            before = self._read.get(model)
            if before is None or before[0] != stamp:
                self._read[model] = stamp, self._found(model) or (before[1] if before else None)
        return {model: found for model, (_, found) in self._read.items() if found is not None}

    def _found(self, model: str) -> ServingPolicy | None:
        try:
            return find(self._workspace, model).contract.policy.serving
        except TreadleError:
            return None

    def _stamp(self, model: str) -> _Stamp:
        folder = self._workspace.projects_dir / model
        return tuple(_changed(folder / name) for name in (CONTRACT_FILE, f"policy.{self._workspace.settings.overlay}.yaml"))


def _changed(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:
        return (0, 0)
    return state.st_mtime_ns, state.st_ino
