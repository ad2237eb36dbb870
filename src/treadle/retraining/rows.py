"""Which logged rows a turn trains on, and which rows it is judged on."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection

from treadle.bundle.place import BundlePlace
from treadle.monitoring.matured import Window, matured_under
from treadle.projects import Project
from treadle.registry.evidence import Jury
from treadle.spec import Interface
from treadle.state.log import LabelledRows


@dataclass(frozen=True)
class Challenger:
    """What decides which rows are fair to a challenger: its interface, its training cut, and whom its training rows are about."""

    interface: Interface
    cut: float
    trained_on: frozenset[str]


@dataclass(frozen=True)
class Found(Jury):
    """Rows that were looked for, and how many are ``needed``."""

    needed: int

    @property
    def enough(self) -> bool:
        """Whether there are as many as are needed."""
        return len(self.rows) >= self.needed

    @property
    def told(self) -> str:
        """The sentences about what was left out, as one text."""
        return "".join(f" {sentence}" for sentence in self.left_out)


def harvest(conn: Connection, bundles: BundlePlace, project: Project, *, onset: float, now: float) -> Found:
    """Return the rows since ``onset`` to train on, those of older versions read under the contract as it is now.

    With more than ``retrain.max_rows`` the newest are kept.
    """
    policy = project.contract.policy.retrain
    found = matured_under(conn, Window(project, onset, now, policy.max_rows), project.contract.interface, bundles)
    return Found(found.rows, found.left_out, policy.min_rows)


def unseen(rows: LabelledRows, entities: frozenset[str]) -> LabelledRows:
    """Return the rows whose entity the challenger was not trained on; a row without an entity is kept."""
    keep = [index for index, entity in enumerate(rows.entity) if entity is None or entity not in entities]
    return rows.take(np.asarray(keep, dtype=np.int64))


def jury(conn: Connection, bundles: BundlePlace, project: Project, challenger: Challenger, *, now: float) -> Found:
    """Return the rows that judge a challenger, as rows of its own interface.

    They were predicted after its training cut, are matured and labelled, and share no entity with its training rows.
    """
    policy = project.contract.policy.retrain
    found = matured_under(conn, Window(project, challenger.cut, now, policy.max_rows), challenger.interface, bundles)
    return Found(unseen(found.rows, challenger.trained_on), found.left_out, policy.judge_rows)
