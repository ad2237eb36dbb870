"""From scores to answers, and from the text of labels to targets."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.errors import LabelInvalid
from treadle.spec import Interface


def answers(interface: Interface, scores: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Return one JSON-ready answer per row of ``scores``, float32 of shape [n, interface.score_count].

    A classification answers the class with the highest score (the first of equals), that score as confidence, and the score
    of each class; a regression the value.
    """
    return [answer_of(interface.target.classes, row) for row in scores.tolist()]


def answer_of(classes: Sequence[str], row: Sequence[float]) -> dict[str, Any]:
    """Return the answer for the scores of one row of a model with these classes, a regression without; ``answers`` says what is in it."""
    if not classes:
        return {"prediction": row[0]}
    confidence = max(row)
    return {"prediction": classes[row.index(confidence)], "confidence": confidence, "probabilities": dict(zip(classes, row, strict=True))}


def label_index(interface: Interface, labels: Sequence[str]) -> NDArray[np.int64] | NDArray[np.float64]:
    """Return labels, which travel as text, as targets: the index of the class, or the value of a regression.

    Raises:
        LabelInvalid: a label is not a class, or not a finite number.
    """
    if interface.task == "regression":
        return np.array([_value(interface, label) for label in labels], dtype=np.float64)
    codes = {name: index for index, name in enumerate(interface.target.classes)}
    for label in labels:
        if label not in codes:
            raise LabelInvalid(label, interface.target.name, values_allowed(interface))
    return np.array([codes[label] for label in labels], dtype=np.int64)


def values_allowed(interface: Interface) -> str:
    """Say in words what a label may be."""
    return "a finite number" if interface.task == "regression" else f"one of {', '.join(interface.target.classes)}"


def _value(interface: Interface, label: str) -> float:
    try:
        # Python alone would read 1_000 as a number.
        value = math.nan if "_" in label else float(label)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise LabelInvalid(label, interface.target.name, values_allowed(interface))
    return value
