"""What a project's ``simulate`` hook returns: a world that keeps producing rows and their true labels."""

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
    """Return the project's world around its own data.

    Raises:
        DataUnavailable: no source of the contract could be had.
        ProjectCodeInvalid: the project has no ``simulate``.
    """
    simulate = project.hook("simulate")
    fetched = fetch(project, workspace, seed=seed)
    world: World = simulate(fetched.frame, seed)
    return world
