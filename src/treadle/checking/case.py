"""The project that is examined, and what one check leaves for the next."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from treadle.errors import TreadleError
from treadle.projects import Project, find
from treadle.settings import Workspace
from treadle.spec import Contract, Interface

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from pandas import DataFrame

    from treadle.engine.session import Engine

MOST_ROWS = 2000
"""A check trains on no more rows than this."""


class Refused(TreadleError):
    """A check that has failed, in its own words."""


@dataclass(frozen=True)
class Found:
    """What a check says when it has not failed: a sentence, and what is to be done where it only ``warns``."""

    reason: str
    fix: str = ""
    warns: bool = False


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows to learn from and rows to judge by, encoded: float32 [n, f] and the targets [n]."""

    learn: "npt.NDArray[np.float32]"
    y_learn: "npt.NDArray[Any]"
    judge: "npt.NDArray[np.float32]"
    y_judge: "npt.NDArray[Any]"


@dataclass(eq=False)
class Case:
    """One project of a workspace. What stands in ``made`` was made by the check of that name."""

    workspace: Workspace
    name: str
    seed: int = 42
    made: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def project(self) -> Project:
        """The project; raises what ``projects.find`` raises."""
        return find(self.workspace, self.name)

    @property
    def contract(self) -> Contract:
        """The whole contract."""
        return self.project.contract

    @property
    def interface(self) -> Interface:
        """The half of the contract that is sealed."""
        return self.project.contract.interface

    @property
    def frame(self) -> "DataFrame":
        """All rows, as ``load`` gives them."""
        return self.made["data"]  # type: ignore[no-any-return]

    @property
    def sample(self) -> Sample:
        """The rows that are trained on and judged by."""
        return self.made["sample"]  # type: ignore[no-any-return]

    @property
    def pipeline(self) -> Any:
        """The pipeline, fitted on the sample."""
        return self.made["trains"]

    @property
    def graph(self) -> bytes:
        """Its graph."""
        return self.made["exports"]  # type: ignore[no-any-return]

    @property
    def engine(self) -> "Engine":
        """The graph, loaded as it is served."""
        return self.made["engine"]  # type: ignore[no-any-return]
