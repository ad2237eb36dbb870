"""A world keeps producing rows and their true labels: what a project's ``simulate`` returns, or one learned from its rows."""

from typing import Protocol

import pandas as pd

from treadle.data.sources import fetch
from treadle.projects import Project
from treadle.settings import Workspace


class World(Protocol):
    """One seeded stream of customers, flowers, houses: whatever the model is about."""

    def draw(self, count: int, *, shifted: bool = False) -> pd.DataFrame:
        """Return the next ``count`` rows with the contract's columns: features, entity and target.

        ``shifted`` draws from the world after it has changed.
        """
        ...


def open_world(workspace: Workspace, project: Project, *, seed: int) -> World:
    """Return the project's world around its own data; for a project without ``simulate`` one is learned from them.

    Raises:
        DataUnavailable: no source of the contract could be had.
        ProjectCodeInvalid: model.py cannot be imported.
        TargetInvalid: a target is not a class of the contract.
    """
    rows = fetch(project, workspace, seed=seed).frame
    if not project.has("simulate"):
        from treadle.simulation.learned import LearnedWorld  # noqa: PLC0415 - brings scikit-learn, which other worlds may not need

        return LearnedWorld(project.contract.interface, rows, seed)
    world: World = project.hook("simulate")(rows, seed)
    return world
