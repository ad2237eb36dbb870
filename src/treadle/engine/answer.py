"""From scores to answers, and from the text of labels to targets."""

import math
from collections.abc import Callable, Sequence
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
    return list(map(answering(interface), scores.tolist()))


def answering(interface: Interface) -> Callable[[Sequence[float]], dict[str, Any]]:
    """Return what turns the scores of one row into its answer; ``answers`` says what is in it."""
    if interface.task == "regression":
        return lambda row: {"prediction": row[0]}
    classes = interface.target.classes

    def answer(row: Sequence[float]) -> dict[str, Any]:
        confidence = max(row)
        scored = dict(zip(classes, row, strict=True))
        return {"prediction": classes[row.index(confidence)], "confidence": confidence, "probabilities": scored}

    return answer


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
