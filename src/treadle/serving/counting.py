"""The live profile: what a bite of shipped predictions adds to the counts of the reference's bins.

It is counted with the layout that is sealed in the bundle which predicted, in one pass of numpy per version and time bucket.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from treadle.bundle.place import BundlePlace
from treadle.bundle.profile import Profile
from treadle.errors import TreadleError
from treadle.serving.records import BatchRecord, EventRecord, PredictionRecord
from treadle.state.deployments import PINNED
from treadle.state.log import Part


class ProfileCounter:
    """Counts predictions by the profiles of their bundles, each of which is read once."""

    def __init__(self, bundles: BundlePlace, *, bucket_seconds: float) -> None:
        self._bundles = bundles
        self._seconds = bucket_seconds
        self._profiles: dict[str, Profile] = {}

    def parts(self, predictions: Iterable[PredictionRecord | BatchRecord]) -> Iterator[Part | EventRecord]:
        """Yield a part per version and bucket; an event where the bundle cannot be read or does not fit the rows.

        Failed predictions have no score and are not counted, and what a caller has asked of a version by name is no traffic.
        """
        groups: dict[tuple[str, int, str, float], list[tuple[bytes, bytes, int]]] = {}
        for record in predictions:
            if record.role == PINNED:
                continue
            if type(record) is BatchRecord:
                piece = (record.rows, record.scores, len(record))
            elif type(record) is PredictionRecord and record.status == "ok":
                piece = (record.row, record.scores, 1)
            else:
                continue
            bucket = record.at // self._seconds * self._seconds
            groups.setdefault((record.model, record.version, record.digest, bucket), []).append(piece)
        for (model, version, digest, bucket), pieces in groups.items():
            rows, scores, counted = zip(*pieces, strict=True)
            count = sum(counted)
            try:
                profile = self._profile(digest)
                counts = profile.layout.count(_matrix(rows, count), _matrix(scores, count))
            except (TreadleError, ValueError, IndexError) as error:
                told = {"version": version, "digest": digest, "rows": count, "reason": str(error)}
                yield EventRecord("profile.uncounted", model, told, bucket)
            else:
                yield Part(model, version, profile.digest, bucket, counts, count)

    def _profile(self, digest: str) -> Profile:
        if digest not in self._profiles:
            self._profiles[digest] = self._bundles.get(digest).profile
        return self._profiles[digest]


def _matrix(rows: Sequence[bytes], count: int) -> npt.NDArray[np.float32]:
    """Return so many little-endian float32 rows of equal length as a matrix [n, f]."""
    return np.frombuffer(b"".join(rows), dtype="<f4").reshape(count, -1)
