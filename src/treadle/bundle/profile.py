"""The reference profile: how often each value of each column was seen when a version was trained.

The layout freezes the bins at training; what is counted later is a vector of whole numbers over the same bins. Counts of
parts add up to the counts of the whole, whatever the parts and their order. The columns are those of the matrix, followed by
what the model answered: for classes "prediction" and "score", for a regression "prediction".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from treadle.bundle.manifest import digest_of
from treadle.errors import BundleInvalid
from treadle.spec import OUTPUT_COLUMNS, CategoryFeature, DateFeature, Feature, Interface, NumberFeature, canonical_json

PROFILE_FILE = "profile.json"
MAX_BINS = 256

Counts = NDArray[np.int64]
Floats = NDArray[np.float32]


class NumericColumn(msgspec.Struct, frozen=True, dict=True, tag_field="kind", tag="number"):
    """A column of numbers. Bin i counts the values in (edges[i - 1], edges[i]], the last slot those that are missing.

    ``edges`` are finite float32 values in strictly increasing order, at most 255 of them.
    """

    name: str
    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.edges) >= MAX_BINS or not all(low < high for low, high in pairwise(self.edges)):
            message = f"the edges of {self.name} are not up to {MAX_BINS - 1} strictly increasing numbers"
            raise ValueError(message)

    @property
    def slots(self) -> int:
        """How many counts the column has: its bins and one for missing values."""
        return len(self.edges) + 2

    def slot(self, values: Floats) -> NDArray[np.intp]:
        """Return the slot of each value."""
        slots = np.searchsorted(self._sorted, values)
        slots[np.isnan(values)] = self.slots - 1
        return slots

    @cached_property
    def _sorted(self) -> Floats:
        return np.array(self.edges, dtype=np.float32)


class CategoryColumn(msgspec.Struct, frozen=True, tag_field="kind", tag="category"):
    """A column of indexes into ``categories``. The last two slots count values that are unseen (such as -1) and missing (NaN)."""

    name: str
    categories: tuple[str, ...]

    @property
    def slots(self) -> int:
        """How many counts the column has: its categories, one for unseen and one for missing values."""
        return len(self.categories) + 2

    def slot(self, values: Floats) -> NDArray[np.intp]:
        """Return the slot of each value."""
        unseen = len(self.categories)
        missing = np.isnan(values)
        known = (values >= 0) & (values < unseen)
        slots = np.where(known, values, unseen).astype(np.intp)
        slots[missing] = unseen + 1
        return slots


Column = NumericColumn | CategoryColumn


class Layout(msgspec.Struct, frozen=True, dict=True):
    """The columns of a profile in the order of their counts: ``features``, then ``outputs``.

    ``positive`` is the index of the score that the "score" column of a binary model holds; the others have none.
    """

    features: tuple[Column, ...]
    outputs: tuple[Column, ...]
    positive: int | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, in the order of their counts."""
        return self.features + self.outputs

    @cached_property
    def size(self) -> int:
        """The length of a vector of counts."""
        return self._ends[-1]

    @cached_property
    def digest(self) -> str:
        """The SHA-256 (hex) of the columns and their bins: counts of equal layouts may be added."""
        return digest_of(canonical_json(msgspec.to_builtins(self)))

    def count(self, matrix: Floats, scores: Floats) -> Counts:
        """Return the counts over these rows.

        Args:
            matrix: the rows as the graph sees them, float32 of shape [n, features].
            scores: what the graph gave, float32 of shape [n, scores]; NaN in a row that it failed on counts as missing.
        """
        counts = np.empty(self.size, dtype=np.int64)
        values = [*matrix.T, *_outputs(scores, self.positive, len(self.outputs))]
        for column, end, given in zip(self.columns, self._ends, values, strict=True):
            counts[end - column.slots : end] = np.bincount(column.slot(given), minlength=column.slots)
        return counts

    def split(self, counts: Counts) -> dict[str, Counts]:
        """Return each column's own counts by its name."""
        return {column.name: counts[end - column.slots : end] for column, end in zip(self.columns, self._ends, strict=True)}

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(column.slots for column in self.columns))


@dataclass(frozen=True, eq=False)
class Profile:
    """A layout and the counts of the reference rows over it, int64 of shape [layout.size]."""

    layout: Layout
    counts: Counts

    @property
    def rows(self) -> int:
        """How many rows were counted."""
        return int(self.counts[: self.layout.columns[0].slots].sum())

    @cached_property
    def digest(self) -> str:
        """The SHA-256 (hex) of the profile's bytes."""
        return digest_of(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the profile as canonical JSON: equal profiles give equal bytes."""
        return canonical_json({"layout": msgspec.to_builtins(self.layout), "counts": self.counts.tolist()})


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    layout: Layout
    counts: list[Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]]


def parse(content: bytes) -> Profile:
    """Return the profile that these bytes hold.

    Raises:
        BundleInvalid: they hold no profile, or one whose counts do not fit its layout.
    """
    try:
        stored = msgspec.json.decode(content, type=_Stored)
    except msgspec.MsgspecError as error:
        raise BundleInvalid(PROFILE_FILE, f"is not a profile: {error}") from error
    if len(stored.counts) != stored.layout.size:
        raise BundleInvalid(PROFILE_FILE, f"has {len(stored.counts)} counts for a layout of {stored.layout.size}")
    return Profile(stored.layout, np.array(stored.counts, dtype=np.int64))


def build(interface: Interface, matrix: Floats, scores: Floats) -> Profile:
    """Return the profile of these reference rows: bins at their quantiles, and the counts over those bins.

    Args:
        interface: the sealed half of the contract.
        matrix: float32 of shape [n, features], one row at least.
        scores: float32 of shape [n, interface.score_count].
    """
    features = tuple(_column(feature, values) for feature, values in zip(interface.features, matrix.T, strict=True))
    positive = interface.positive_index if interface.task == "binary" else None
    prediction, score = OUTPUT_COLUMNS
    if interface.task == "regression":
        outputs: tuple[Column, ...] = (NumericColumn(prediction, edges_of(scores[:, 0])),)
    else:
        _, given = _outputs(scores, positive, 2)
        outputs = (CategoryColumn(prediction, interface.target.classes), NumericColumn(score, edges_of(given)))
    layout = Layout(features, outputs, positive)
    return Profile(layout, layout.count(matrix, scores))


def edges_of(values: Floats) -> tuple[float, ...]:
    """Return the inner edges of up to 256 bins over the finite ``values``.

    The first bin lies below all of them and the last above, so that a value outside the reference is seen as such. Up to 254
    distinct values have a bin each; more share bins of equal mass.
    """
    finite = values[np.isfinite(values)]
    distinct = np.unique(finite)
    if not len(distinct):
        return ()
    inside = MAX_BINS - 2
    if len(distinct) > inside:
        # Quantiles that are values of the column itself: float32 all the way, ties never split.
        distinct = np.unique(np.quantile(finite, np.arange(1, inside + 1) / inside, method="inverted_cdf"))
    with np.errstate(over="ignore", under="ignore"):
        below = np.nextafter(finite.min(), np.float32(-np.inf))
    # Not a subnormal: a library that flushes those to zero would change the bin of 0.
    smallest = np.finfo(np.float32).tiny
    edges = [-smallest if abs(below) < smallest else below, *distinct]
    return tuple(float(edge) for edge in edges if np.isfinite(edge))


def merged(reference: Counts, current: Counts, bins: int = 20) -> tuple[Counts, Counts]:
    """Merge the fine bins of a numeric column into about ``bins`` neighbours of equal mass in the reference.

    Both arguments are the column's own counts, the slot for missing values last, which stays by itself. A group that is
    empty on both sides is left out.
    """
    mass = reference[:-1]
    middle = np.cumsum(mass) - mass / 2
    group = np.minimum(middle * bins // max(int(mass.sum()), 1), bins - 1).astype(np.intp)
    group = np.append(group, bins)
    sums = [np.bincount(group, weights=counts, minlength=bins + 1).astype(np.int64) for counts in (reference, current)]
    kept = (sums[0] + sums[1]) > 0
    return sums[0][kept], sums[1][kept]


def _column(feature: Feature, values: Floats) -> Column:
    if isinstance(feature, NumberFeature | DateFeature):
        return NumericColumn(feature.name, edges_of(values))
    return CategoryColumn(feature.name, feature.categories if isinstance(feature, CategoryFeature) else ("false", "true"))


def _outputs(scores: Floats, positive: int | None, count: int) -> Sequence[Floats]:
    """Return the values of the output columns: the value, or the index of the winning class and the score."""
    if count == 1:
        return (scores[:, 0],)
    winner = scores.argmax(axis=1).astype(np.float32)
    winner[np.isnan(scores).any(axis=1)] = np.nan
    return winner, scores.max(axis=1) if positive is None else scores[:, positive]
