"""What Prometheus reads from the serving workers.

With several workers each writes its numbers into files of one folder (``PROMETHEUS_MULTIPROC_DIR``, set by the supervisor before the
first import), and whichever worker is asked adds them all up: counters are exact over workers and over their deaths.
"""

import fcntl
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from struct import Struct
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.samples import Sample

from treadle.serving.numbers import FOLDER_VARIABLE, SUMMED, hold

VERSIONS = 20
"""How many versions of a model are told apart; those before them are added up as version "older"."""

ROOM = 1 << 17
"""Bytes on the disk for each kind of numbers of one worker: hundreds of versions, dozens of models."""

_KINDS = (*SUMMED, "gauge_livesum")
"""As the files of a worker are named."""

_DOUBLE = Struct("=d").pack_into

_DURATIONS = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class _Number:
    """One number of a worker, added to where Prometheus's library keeps it, without its lock and its look at the process's id.

    For one thread, in a process that does not fork. ``inc`` of the library may be called as well, by the same thread.
    """

    def __init__(self, value: Any) -> None:
        self._value = value
        self._shared = getattr(value, "_file", None)
        if self._shared is not None:
            # A file that grows is mapped anew; this mapping of it stays valid.
            self._memory, self._at = self._shared._m, self._shared._positions[value._key]  # noqa: SLF001

    def add(self, amount: float) -> None:
        """Add to the number."""
        self._value._value = total = self._value._value + amount  # noqa: SLF001
        if self._shared is not None:
            _DOUBLE(self._memory, self._at, total)


class _Distribution:
    """One histogram, observed in the same way."""

    def __init__(self, histogram: Any) -> None:
        self._bounds = histogram._upper_bounds  # noqa: SLF001
        self._buckets = [_Number(bucket) for bucket in histogram._buckets]  # noqa: SLF001
        self._sum = _Number(histogram._sum)  # noqa: SLF001

    def observe(self, amount: float) -> None:
        """Count an observation."""
        self._sum.add(amount)
        self._buckets[bisect_left(self._bounds, amount)].add(1.0)


class RowMetrics:
    """Counts rows that a version has answered, one by one."""

    def __init__(self, predictions: Counter, duration: Histogram, confidence: Histogram | None) -> None:
        self._predictions = _Number(predictions._value)  # noqa: SLF001
        self._duration = _Distribution(duration)
        self._confidence = None if confidence is None else _Distribution(confidence)

    def count(self, confidence: float | None, seconds: float) -> None:
        """Count a row that was answered after so many seconds."""
        self._predictions.add(1.0)
        self._duration.observe(seconds)
        if self._confidence is not None and confidence is not None:
            self._confidence.observe(confidence)


@dataclass(frozen=True, slots=True)
class VersionMetrics:
    """The metrics of one version: looked up once, because a look-up by labels costs more than the count."""

    predictions: Counter
    errors: Counter
    loaded: Gauge
    breaker: Gauge


class ServingMetrics:
    """All metrics of one worker, in the registry that it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        version = ("model_name", "model_version")
        model = ("model_name",)
        self._predictions = Counter("ml_predictions", "Rows answered.", version, registry=registry)
        self._errors = Counter("ml_prediction_errors", "Rows that a version failed on.", version, registry=registry)
        self._loaded = Gauge("ml_model_loaded", "Workers with this version.", version, registry=registry, multiprocess_mode="livesum")
        self._breaker = Gauge(
            "ml_breaker_open", "Workers that leave this version alone.", version, registry=registry, multiprocess_mode="livesum"
        )
        seconds = "Seconds from a decoded request to its logged answer."
        self._duration = Histogram("ml_prediction_duration_seconds", seconds, model, registry=registry, buckets=_DURATIONS)
        confidence = "Confidence of the answers."
        self._confidence = Histogram("ml_prediction_confidence", confidence, model, registry=registry, buckets=_CONFIDENCES)
        self.log_unavailable = Counter("ml_log_unavailable", "Requests refused because they could not be logged.", registry=registry)
        self.refused = cache(Counter("ml_refused", "Requests refused before they were read.", ("reason",), registry=registry).labels)
        self.version = cache(self._version)
        self.duration = cache(self._duration.labels)
        self.confidence = cache(self._confidence.labels)

    def row(self, model: str, version: int, *, confident: bool) -> RowMetrics:
        """Return what counts the rows of a version that are answered one by one, with a confidence or, as in a regression, without."""
        confidence = self.confidence(model) if confident else None
        return RowMetrics(self.version(model, version).predictions, self.duration(model), confidence)

    def _version(self, model: str, version: int) -> VersionMetrics:
        labels = (model, str(version))
        return VersionMetrics(
            self._predictions.labels(*labels), self._errors.labels(*labels), self._loaded.labels(*labels), self._breaker.labels(*labels)
        )


def observe_many(histogram: Histogram, values: NDArray[np.floating[Any]]) -> None:
    """Do what ``histogram.observe`` does for each of many values, with one step for each bucket that they fall into.

    The library has no such call: a batch of 1,000 rows would take longer to count than to answer.
    """
    bounds = np.asarray(histogram._upper_bounds)  # noqa: SLF001
    places, counts = np.unique(np.searchsorted(bounds, values.astype(np.float64)), return_counts=True)
    histogram._sum.inc(float(values.sum(dtype=np.float64)))  # noqa: SLF001
    for place, count in zip(places.tolist(), counts.tolist(), strict=True):
        histogram._buckets[place].inc(count)  # noqa: SLF001


def reserve() -> None:
    """Take the room on the disk that the numbers of this process need, before they are mapped into its memory.

    To touch a page that has no room on a full disk would end the process, in the middle of a request.

    Raises:
        OSError: there is no room.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    for kind in _KINDS if folder else ():
        with Path(str(folder), f"{kind}_{os.getpid()}.db").open("ab") as file:
            file.write(bytes(max(ROOM - file.tell(), 0)))


def scrape(registry: CollectorRegistry) -> bytes:
    """Return the text that Prometheus reads: of all workers where they share a folder, of ``registry`` otherwise."""
    folder = os.environ.get(FOLDER_VARIABLE)
    bounded = CollectorRegistry()
    bounded.register(_Bounded(_WorkerFiles(folder) if folder else registry))
    return generate_latest(bounded)


class _Source(Protocol):
    def collect(self) -> Iterable[Metric]: ...


class _WorkerFiles:
    """The files of all workers; one that a worker is only just creating is still empty, and left out."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def collect(self) -> Iterator[Metric]:
        with hold(self._folder, fcntl.LOCK_SH):
            files = [str(path) for path in self._folder.glob("*.db") if _size(path)]
            found = list(MultiProcessCollector.merge(files))  # type: ignore[no-untyped-call]
        yield from found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        # The live gauges of a worker that has just died.
        return 0


class _Bounded:
    """A source whose versions are bounded: a model that is retrained for years does not grow the answer for ever."""

    def __init__(self, source: _Source) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        for metric in self._source.collect():
            metric.samples = _folded(metric.samples)
            yield metric


def _folded(samples: list[Sample]) -> list[Sample]:
    """Add up the samples of all but the newest versions of each model."""
    versions: dict[str, set[int]] = {}
    for sample in samples:
        if "model_version" in sample.labels:
            versions.setdefault(sample.labels["model_name"], set()).add(int(sample.labels["model_version"]))
    oldest = {model: sorted(known)[-VERSIONS:][0] for model, known in versions.items()}
    folded: dict[tuple[str, tuple[tuple[str, str], ...]], Sample] = {}
    for sample in samples:
        labels = dict(sample.labels)
        if "model_version" in labels and int(labels["model_version"]) < oldest[labels["model_name"]]:
            # A creation time cannot be added up.
            if sample.name.endswith("_created"):
                continue
            labels["model_version"] = "older"
        key = (sample.name, tuple(sorted(labels.items())))
        before = folded[key].value if key in folded else 0.0
        folded[key] = Sample(sample.name, labels, before + sample.value)
    return list(folded.values())
