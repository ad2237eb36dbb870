"""The short way of one row to its answer: what is the same for every row of a generation is looked up when it is deployed.

It does what ``Inference.predict`` does where the version is quick, healthy, and takes rows as the champion does; and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from struct import Struct

import msgspec

from treadle.engine.encode import Encoder
from treadle.errors import InferenceFailed
from treadle.identity import Pseudonyms
from treadle.serving.ids import uuid7
from treadle.serving.loaded import Loaded
from treadle.serving.metrics import ServingMetrics
from treadle.serving.records import PredictionRecord, Record, answer
from treadle.serving.routing import Table, choose
from treadle.state.deployments import Slot

Clock = Callable[[], float]

_encode = msgspec.json.Encoder().encode


class Quick:
    """Answers single rows with the versions of one generation. For one thread, and for a log that keeps what it is given at once."""

    def __init__(  # noqa: PLR0913 - what a call needs
        self,
        table: Table,
        encoder: Encoder,
        loaded: Mapping[str, Loaded],
        metrics: ServingMetrics,
        *,
        log: Callable[[Sequence[Record]], object],
        clock: Clock,
        timer: Clock,
        hidden: Pseudonyms | None = None,
    ) -> None:
        champion = loaded[table.champion.digest]
        quick = [slot for slot in table.weighted if slot.digest in loaded and _is_quick(loaded[slot.digest], champion)]
        self._versions: dict[Slot, _Version] = {}
        for slot in quick:
            # A graph that runs on a matrix, but not in memory bound to it, is asked the long way.
            with suppress(InferenceFailed):
                self._versions[slot] = _Version(table, slot, loaded[slot.digest], metrics)
        self._only = self._versions.get(table.weighted[0]) if len(table.weighted) == 1 else None
        self._table = table
        self._row = encoder.row
        self._log = log
        self._clock = clock
        self._timer = timer
        self._hidden = hidden

    def answer(self, payload: object, request_id: str | None = None) -> bytes | None:
        """Return the answer to one row, as the JSON that is logged; None where the long way is to be taken.

        Raises:
            RequestInvalid: the row does not fit the champion's interface.
            LogUnavailable: the answer could not be logged, so there is none.
        """
        started = self._timer()
        values, entity = self._row(payload)
        at = self._clock()
        name = uuid7(at)
        version = self._only or self._versions.get(choose(self._table, entity or request_id or name))
        if version is None or not version.breaker.calm:
            return None
        begun = self._timer()
        ran = version.run(values)
        if ran is None:
            return None
        seconds = self._timer() - begun
        row, scores, numbers = ran
        answered = answer(name, version.model, version.number, version.classes, numbers, fallback=False)
        told = _encode(answered)
        if self._hidden is not None:
            request_id = self._hidden.of(request_id) if request_id else None
            entity = self._hidden.of(entity) if entity else None
        self._log([version.record(name, at, seconds, row, scores, told.decode(), "ok", None, request_id, entity)])
        version.count(answered.get("confidence"), self._timer() - started)
        return told


class _Version:
    """One version in its role."""

    def __init__(self, table: Table, slot: Slot, loaded: Loaded, metrics: ServingMetrics) -> None:
        interface = loaded.interface
        self.classes = interface.target.classes
        self.breaker = loaded.breaker
        self.model, self.number = table.model, slot.version
        self.count = metrics.row(table.model, slot.version, confident=interface.task != "regression").count
        self._head = (table.model, slot.version, slot.digest, table.generation, slot.role)
        self._run = loaded.single().run
        self._pack = Struct(f"<{len(interface.features)}f").pack
        self._unpack = Struct(f"<{interface.score_count}f").unpack

    def run(self, values: Sequence[float]) -> tuple[bytes, bytes, tuple[float, ...]] | None:
        """Return the row and its scores as they are logged, and the scores as numbers; None where the version fails."""
        try:
            row = self._pack(*values)
            scores = self._run(row)
        except Exception:  # noqa: BLE001 - the runtime's errors have no base class; the long way meets this one again, and tells it
            return None
        numbers = self._unpack(scores)
        # A sum of float32 cannot leave the range of a float64: it is finite where each of them is.
        return (row, scores, numbers) if isfinite(sum(numbers)) else None

    def record(self, name: str, *rest: object) -> PredictionRecord:
        """Return the record of an answered row; ``rest`` are its columns from ``at`` on."""
        return PredictionRecord(name, *self._head, *rest)  # type: ignore[arg-type]


def _is_quick(loaded: Loaded, champion: Loaded) -> bool:
    return loaded.takes(1) and loaded.interface_digest == champion.interface_digest
