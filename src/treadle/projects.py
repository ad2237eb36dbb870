"""The projects of a workspace: a folder each, with ``model.yaml`` (the contract) and ``model.py`` (the code).

``model.py`` has these functions; a project brings those that it needs:

    load(path)             read the raw file (None for a bundled source) into a DataFrame with the contract's columns
    build(seed)            return the unfitted scikit-learn estimator
    synthesize(rows, seed) make up such rows, for where no data can be had
    simulate(rows, seed)   return a ``treadle.simulation.World`` around the rows of the data; without it one is learned from them

Projects are also found through the entry-point group ``treadle.projects``: an entry point names a package
that holds both files.
"""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from treadle.errors import ContractInvalid, ProjectCodeInvalid, ProjectNotFound, SettingsInvalid, choose_from
from treadle.settings import Workspace
from treadle.spec import Contract, load_contract

CONTRACT_FILE = "model.yaml"
CODE_FILE = "model.py"
ENTRY_POINTS = "treadle.projects"


@dataclass(frozen=True)
class Project:
    """One model's folder. The contract is read at once, the code only when a function of it is asked for."""

    folder: Path
    contract: Contract

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.contract.name

    @cached_property
    def module(self) -> ModuleType:
        """The imported ``model.py``.

        Raises:
            ProjectCodeInvalid: the file is missing or fails while it is imported.
        """
        path = self.folder / CODE_FILE
        name = f"treadle_project_{self.name}"
        if not path.is_file():
            raise ProjectCodeInvalid(path, "there is no such file.")
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ProjectCodeInvalid(path, "it is not a Python file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise ProjectCodeInvalid(path, f"it fails on import with {type(error).__name__}: {error}") from error
        return module

    def hook(self, name: str) -> Callable[..., Any]:
        """Return the function ``name`` of ``model.py``.

        Raises:
            ProjectCodeInvalid: ``model.py`` has no such function.
        """
        function = getattr(self.module, name, None)
        if not callable(function):
            raise ProjectCodeInvalid(self.folder / CODE_FILE, f"it has no function {name}().")
        return function  # type: ignore[no-any-return]

    def has(self, name: str) -> bool:
        """Tell whether ``model.py`` has a function ``name``."""
        return callable(getattr(self.module, name, None))


def beside(code: str, file: str) -> ModuleType:
    """Import a Python file that stands beside ``model.py``, whose own ``__file__`` is ``code``: a project's folder is no package."""
    path = Path(code).with_name(file)
    name = f"treadle_project_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ProjectCodeInvalid(path, "it is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _require_overlay(workspace: Workspace) -> None:
    """Refuse an overlay that no project of the workspace has: with a slip of the pen every policy would stay as it is.

    Raises:
        SettingsInvalid: no project folder holds ``policy.<overlay>.yaml``; the error lists the overlays there are.
    """
    name = workspace.settings.overlay
    known = sorted({path.stem.removeprefix("policy.") for path in workspace.projects_dir.glob("*/policy.*.yaml")})
    if name and name not in known:
        problem = f"overlay = {name!r}: no project has a policy.{name}.yaml; {choose_from(known)}"
        raise SettingsInvalid("TREADLE_OVERLAY or treadle.toml", [problem])


def discover(workspace: Workspace) -> dict[str, Project]:
    """Return every project by name; a folder of the workspace comes before an installed project of the same name.

    Raises:
        ContractInvalid: a contract is not valid.
        ProjectCodeInvalid: an entry point names a package that is not there.
    """
    return {name: find(workspace, name) for name in names(workspace)}


def names(workspace: Workspace) -> list[str]:
    """Return the name of every project, also of one in the workspace whose contract is not valid.

    Raises:
        ContractInvalid: the contract of an installed project is not valid.
        ProjectCodeInvalid: an entry point names a package that is not there.
    """
    own = {path.parent.name for path in workspace.projects_dir.glob(f"*/{CONTRACT_FILE}")}
    return sorted(own | set(_installed_projects(workspace)))


def find(workspace: Workspace, name: str) -> Project:
    """Return one project.

    Raises:
        ProjectNotFound: there is no project of this name; the error lists those there are.
        ContractInvalid: its contract is not valid.
        ProjectCodeInvalid: an entry point names a package that is not there.
    """
    _require_overlay(workspace)
    folder = workspace.projects_dir / name
    if (folder / CONTRACT_FILE).is_file():
        return _in_workspace(folder, workspace)
    installed = _installed_projects(workspace)
    if name not in installed:
        raise ProjectNotFound(name, names(workspace))
    return installed[name]


def _contract(folder: Path, workspace: Workspace) -> Contract:
    return load_contract(folder / CONTRACT_FILE, workspace.settings.overlay)


def _in_workspace(folder: Path, workspace: Workspace) -> Project:
    """Read a folder of the workspace; its model bears the folder's name, so no two can be called the same."""
    contract = _contract(folder, workspace)
    if contract.name != folder.name:
        raise ContractInvalid(folder / CONTRACT_FILE, [f"name: it is {contract.name!r}, but the folder is called {folder.name!r}"])
    return Project(folder, contract)


def _installed_projects(workspace: Workspace) -> dict[str, Project]:
    found = [Project(folder, _contract(folder, workspace)) for folder in _installed()]
    return {project.name: project for project in found}


def _installed() -> list[Path]:
    """Return the folder of each package that an entry point names."""
    folders = []
    for point in entry_points(group=ENTRY_POINTS):
        try:
            spec = importlib.util.find_spec(point.module)
        except ModuleNotFoundError:
            spec = None
        if spec is None or not spec.submodule_search_locations:
            raise ProjectCodeInvalid(Path(point.value), f"the entry point {point.name} names it, but there is no such package.")
        folders.append(Path(next(iter(spec.submodule_search_locations))))
    return folders
