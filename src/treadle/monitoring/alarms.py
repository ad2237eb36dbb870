"""Which signals alarm, and which have passed. Pure: an observation in, alarms out."""

from dataclasses import dataclass
from typing import Any

from treadle.monitoring.drift import FeatureDrift
from treadle.monitoring.observe import Observation
from treadle.monitoring.quality import QualityReport
from treadle.state.episodes import Signal


@dataclass(frozen=True)
class Alarm:
    """One signal that alarms. ``onset`` (epoch seconds) is the time after which rows are of the changed world."""

    signal: Signal
    onset: float
    evidence: dict[str, Any]


def alarms(observation: Observation) -> tuple[Alarm, ...]:
    """Return the signals that alarm now."""
    found: list[Alarm] = []
    drift, quality = observation.drift, observation.quality
    if observation.drift_onset is not None:
        if drift.inputs_drifted:
            found.append(Alarm("drift", observation.drift_onset, _drift_evidence(observation, drift.features, drift.reasons)))
        if drift.prediction_drifted:
            found.append(
                Alarm("prediction", observation.drift_onset, _drift_evidence(observation, drift.prediction, drift.prediction_reasons))
            )
    if observation.quality_onset is not None:
        found.append(Alarm("quality", observation.quality_onset, _quality_evidence(quality)))
    return tuple(found)


def cleared(observation: Observation) -> frozenset[Signal]:
    """Return the signals that were assessed and are calm."""
    calm: set[Signal] = set()
    if observation.drift.assessed:
        calm |= {"drift"} if not observation.drift.inputs_drifted else set()
        calm |= {"prediction"} if not observation.drift.prediction_drifted else set()
    if observation.quality.assessed and not observation.quality.bad:
        calm.add("quality")
    return frozenset(calm)


def _drift_evidence(observation: Observation, columns: tuple[FeatureDrift, ...], reasons: tuple[str, ...]) -> dict[str, Any]:
    affected = {column.name: round(column.psi, 4) for column in columns if column.drifted}
    return {
        "reasons": list(reasons),
        "timestamp": observation.until,
        "drift_detected": True,
        "drift_score": round(observation.drift.score, 4),
        "affected_features": affected,
        "rows": observation.drift.rows,
        "window": [observation.since, observation.until],
    }


def _quality_evidence(quality: QualityReport) -> dict[str, Any]:
    return {
        "reasons": list(quality.reasons),
        "metric": quality.metric,
        "value": quality.value,
        "interval": [quality.low, quality.high],
        "limit": quality.limit,
        "rows": quality.rows,
    }
