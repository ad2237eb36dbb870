"""Which logged rows a turn trains on, and which rows it is judged on."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from treadle.data.frame import frame_from_log
from treadle.monitoring.matured import matured
from treadle.projects import Project
from treadle.state.log import LabelledRows


@dataclass(frozen=True)
class Harvest:
    """Rows ready to train on: ``cut`` is the time of the latest prediction among them."""

    frame: pd.DataFrame
    cut: float


def harvest(conn: Connection, project: Project, *, onset: float, now: float) -> Harvest | None:
    """Return the rows since ``onset`` to train on, or None while there are too few.

    With more than ``retrain.max_rows`` the newest are kept.
    """
    policy = project.contract.policy.retrain
    rows = matured(conn, project, project.contract.interface, since=onset, now=now, limit=policy.max_rows)
    if len(rows) < policy.min_rows:
        return None
    return Harvest(frame_from_log(project.contract.interface, rows), float(rows.at.max()))


def unseen(rows: LabelledRows, entities: frozenset[str]) -> LabelledRows:
    """Return the rows whose entity the challenger was not trained on; a row without an entity is kept."""
    keep = [index for index, entity in enumerate(rows.entity) if entity is None or entity not in entities]
    return rows.take(np.asarray(keep, dtype=np.int64))


def jury(conn: Connection, project: Project, *, cut: float, trained_on: frozenset[str], now: float) -> LabelledRows | None:
    """Return the rows that judge a challenger, or None while there are too few.

    They were predicted after ``cut``, are matured and labelled, and share no entity with the challenger's training rows.
    """
    policy = project.contract.policy.retrain
    rows = unseen(matured(conn, project, project.contract.interface, since=cut, now=now, limit=policy.max_rows), trained_on)
    return rows if len(rows) >= policy.judge_rows else None
