"""Failures of drills."""

from treadle.errors.base import TreadleError


class DrillImpossible(TreadleError):
    """A drill cannot begin: something that it needs is not there, or something is there that it would disturb."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"This drill cannot begin: {reason}.", fix=fix)
