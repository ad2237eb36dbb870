"""How far the shipper is behind the workers, and how long a batch waits for it.

A worker can answer batches faster than any database takes their rows. Without an end the spool would grow until the disk is full, so a
batch waits in proportion to its rows and to what is not shipped yet: then the workers slow down to the pace of the shipper. Rows that
are asked for one by one never wait; a shipper keeps up with those.
"""

import logging
from pathlib import Path

from treadle.serving.mapped import own, shared

LIGHT = 500_000
"""Bytes of backlog that cost a row ROW_SECONDS; a few thousand rows."""

ROW_SECONDS = 1e-5
"""About what a row costs the shipper."""

LONGEST = 0.25
"""Seconds that a batch waits at most: after an outage there is much to ship, and callers go on meanwhile."""

logger = logging.getLogger(__name__)


class Backlog:
    """Bytes in the spool of this host that wait for the shipper; what it tells, the workers see."""

    def __init__(self, path: Path) -> None:
        try:
            self._bytes = shared(path, 1)
        except OSError as error:
            logger.warning("no batch waits for the shipper: %s: %s", path, error.strerror)
            self._bytes = own(1)

    def tell(self, waiting: int) -> None:
        """Tell how many bytes wait now; 0 also while there is no store that they could be shipped to: to wait would gain nothing."""
        self._bytes[0] = waiting

    @property
    def waiting(self) -> float:
        """The bytes that wait, as they were told last."""
        return self._bytes[0]

    def pause(self, rows: int) -> float:
        """Return the seconds that a batch of so many rows waits."""
        return pause(rows, self.waiting)


def pause(rows: int, waiting: float) -> float:
    """Return how long a batch waits, in seconds: nothing beside a light backlog, then in proportion to it and to the rows."""
    return 0.0 if waiting <= LIGHT else min(rows * ROW_SECONDS * waiting / LIGHT, LONGEST)
