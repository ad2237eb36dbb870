"""The live profile: what a bite of shipped predictions adds to the counts of the reference's bins.

It is counted with the layout that is sealed in the bundle which predicted, in one pass of numpy per version and time bucket.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from treadle.bundle.place import BundlePlace
from treadle.bundle.profile import Profile
from treadle.errors import TreadleError
from treadle.serving.spool import EventRecord, PredictionRecord
from treadle.state.deployments import PINNED
from treadle.state.log import Part


class ProfileCounter:
    """Counts predictions by the profiles of their bundles, each of which is read once."""

    def __init__(self, bundles: BundlePlace, *, bucket_seconds: float) -> None:
        self._bundles = bundles
        self._seconds = bucket_seconds
        self._profiles: dict[str, Profile] = {}

    def parts(self, predictions: Iterable[PredictionRecord]) -> Iterator[Part | EventRecord]:
        """Yield a part per version and bucket; an event where the bundle cannot be read or does not fit the rows.

        Failed predictions have no score and are not counted, and what a caller has asked of a version by name is no traffic.
        """
        groups: dict[tuple[str, int, str, float], list[PredictionRecord]] = {}
        for record in predictions:
            if record.status == "ok" and record.role != PINNED:
                bucket = record.at // self._seconds * self._seconds
                groups.setdefault((record.model, record.version, record.digest, bucket), []).append(record)
        for (model, version, digest, bucket), records in groups.items():
            try:
                profile = self._profile(digest)
                counts = profile.layout.count(_matrix(record.row for record in records), _matrix(record.scores for record in records))
            except (TreadleError, ValueError, IndexError) as error:
                told = {"version": version, "digest": digest, "rows": len(records), "reason": str(error)}
                yield EventRecord("profile.uncounted", model, told, records[-1].at)
            else:
                yield Part(model, version, profile.digest, bucket, counts, len(records))

    def _profile(self, digest: str) -> Profile:
        if digest not in self._profiles:
            self._profiles[digest] = self._bundles.get(digest).profile
        return self._profiles[digest]


def _matrix(rows: Iterable[bytes]) -> npt.NDArray[np.float32]:
    """Return little-endian float32 rows of equal length as a matrix [n, f]."""
    held = list(rows)
    return np.frombuffer(b"".join(held), dtype="<f4").reshape(len(held), -1)
