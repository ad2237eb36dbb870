"""The measured part of the model card, which is sealed into the bundle. What a person writes stays in the policy.

It is the same for the same data and seed: no time of day, no latency, and numbers to six digits, so that the order in which
a machine adds does not change the digest of a bundle.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from treadle.bundle.manifest import Lineage
from treadle.training.fit import Fitted
from treadle.training.parity import Parity

PUBLISHED = (
    "The graph is that of an estimator that was fitted elsewhere and published as it was. Metrics, cross-validation and importances are "
    "those of the same estimator fitted anew on the training rows alone, so that the held-out rows judge it fairly."
)


def measured(metric: str, fitted: Fitted, parity: Parity, lineage: Lineage, *, published: bool = False) -> dict[str, Any]:
    """Return what was measured, JSON-ready: ``metrics`` and ``intervals`` by name, ``baseline``, ``cv``, ``importances``, data, parity.

    ``metric`` is the one by which versions are compared. ``note`` is a sentence on what is not as usual.
    """
    card = {
        "metric": metric,
        "metrics": fitted.metrics,
        "intervals": {name: bounds for name, bounds in fitted.intervals.items() if all(map(math.isfinite, bounds))},
        "baseline": fitted.baseline,
        "cv": fitted.cv,
        "importances": fitted.importances,
        "data": {
            "rows": lineage.rows,
            "training_rows": len(fitted.rows.split.train),
            "holdout_rows": len(fitted.rows.split.holdout),
            "source": lineage.data_source,
            "simulated": lineage.simulated,
            "digest": lineage.data_digest,
        },
        "parity": asdict(parity),
    }
    if published:
        card["note"] = PUBLISHED
    return {name: _six_digits(value) for name, value in card.items()}


def _six_digits(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {name: _six_digits(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_six_digits(part) for part in value]
    return value
