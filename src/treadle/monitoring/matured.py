"""The labelled rows of a model that are old enough to be judged.

Rows count by the time of their prediction, never by when their label came: early labels are biased.
"""

from sqlalchemy import Connection

from treadle.projects import Project
from treadle.spec import Interface
from treadle.state import log
from treadle.state.log import LabelledRows


def matured(conn: Connection, project: Project, interface: Interface, *, since: float, now: float, limit: int) -> LabelledRows:
    """Return the rows predicted after ``since`` whose labels have matured, oldest first; of more than ``limit`` the newest.

    Only rows of the shape of ``interface`` are returned: that of a version, or that of the contract.
    """
    labels = project.contract.policy.labels
    return log.labelled(
        conn,
        project.name,
        since=since,
        until=now - labels.maturity,
        n_features=len(interface.features),
        n_scores=interface.score_count,
        missing=labels.missing,
        negative=negative_class(interface),
        limit=limit,
    )


def negative_class(interface: Interface) -> str | None:
    """Return what a missing label means where the policy counts it: the class of a binary task that is not positive."""
    if interface.task != "binary":
        return None
    return interface.target.classes[1 - interface.positive_index]
