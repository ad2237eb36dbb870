"""The buckets of the keys that have a limit, in memory that the workers of one host share.

Each bucket is one number, in a file that every worker maps. Two workers that take from one bucket in the same instant may both find the
number that the other is about to replace: then one request too many goes through. None too few does, and a refused request changes
nothing. So the limit is that of the host, kept to within the requests that meet each other; each further host has the limit again.
"""

import logging
from pathlib import Path

from treadle.identity.rate import Limit, take
from treadle.serving.mapped import own, shared

_logger = logging.getLogger(__name__)


class Buckets:
    """The buckets in the file ``path``, by the slots of their keys."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._full_at = own(0)

    def reach(self, slots: int) -> None:
        """Have at least this many buckets; new ones are full.

        On a disk without room the buckets stay in the memory of this worker alone, and each worker keeps the limit for itself.
        """
        if len(self._full_at) >= slots:
            return
        try:
            self._full_at = shared(self._path, slots)
        except OSError as error:
            _logger.warning("the limits of keys hold per worker, not per host: %s: %s", self._path, error.strerror)
            self._full_at = own(slots)

    def take(self, slot: int, limit: Limit, now: float) -> float:
        """Take a token at ``now``, in seconds of the machine's monotonic clock; return the seconds to wait, 0 if the request may go."""
        full_at, wait = take(self._full_at[slot], now, limit)
        if not wait:
            self._full_at[slot] = full_at
        return wait
