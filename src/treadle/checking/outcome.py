"""What one check has found: of a project (``treadle check``) or of the machine (``treadle doctor``)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """One row of a report: what was checked, how it went, why, and what to do about it."""

    name: str
    status: Status
    reason: str
    fix: str = ""


def failed(outcomes: Iterable[Outcome]) -> bool:
    """Tell whether a check has failed; a warning is no failure."""
    return any(one.status == "failed" for one in outcomes)
