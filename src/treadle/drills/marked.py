"""A world some of whose rows carry a mark, by which a harmful challenger knows them."""

import numpy as np
from pandas import DataFrame

from treadle.drills.sabotage import Mark
from treadle.simulation.world import World
from treadle.spec import Interface, NumberFeature


class Marked:
    """A world whose rows carry a mark while ``on`` is set."""

    def __init__(self, world: World, mark: Mark, interface: Interface) -> None:
        self.on = False
        self._world = world
        self._mark = mark
        self._feature = next(one for one in interface.features if one.name == mark.feature)

    def draw(self, count: int, *, shifted: bool = False) -> DataFrame:
        """Return the next ``count`` rows."""
        rows = self._world.draw(count, shifted=shifted)
        if not self.on or not isinstance(self._feature, NumberFeature):
            return rows
        values = rows[self._mark.feature].to_numpy(dtype=np.float64, na_value=np.nan)
        return rows.assign(**{self._mark.feature: self._mark.put(values, self._feature.min, self._feature.max)})
