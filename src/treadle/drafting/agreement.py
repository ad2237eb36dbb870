"""Whether an estimator answers behind the contract as it does in the notebook: there, rows come as float32 and as plain texts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from treadle.data.frame import matrix
from treadle.drafting.taken import Taken
from treadle.errors import AnswersDiffer, NotPublishable
from treadle.training.nearest import instead
from treadle.training.parity import TOLERANCE
from treadle.training.pipeline import around, scores_of

FEW = 0.01
"""Share of rows that may differ: a value on the very edge of a tree, which float32 cannot keep there."""


@dataclass(frozen=True)
class Agreement:
    """Of ``rows`` rows, ``different`` are answered otherwise behind the contract, by up to ``most`` (relative above 1)."""

    rows: int
    different: int
    most: float


def agreement(fitted: Any, features: Any, found: Taken) -> Agreement:
    """Compare the estimator on the notebook's rows with itself on the same rows as a request brings them.

    Raises:
        NotPublishable: its answers are not those of its scores, or it has none.
        AnswersDiffer: more than a few rows differ, or it fails on them.
    """
    own = _own_scores(fitted, features, found)
    try:
        behind = scores_of(around(found.interface, fitted), found.interface, matrix(found.interface, found.frame))
    except (ValueError, TypeError) as error:
        raise AnswersDiffer(len(own), len(own), f"it fails there with {type(error).__name__}: {error}", _fix(found)) from error
    apart = (np.abs(own - behind) / np.maximum(1.0, np.abs(own))).max(axis=1)
    told = Agreement(len(own), int((apart > TOLERANCE).sum()), float(apart.max()))
    if told.different > FEW * told.rows:
        raise AnswersDiffer(told.different, told.rows, f"by up to {told.most:.3g}", _fix(found))
    return told


def _own_scores(fitted: Any, features: Any, found: Taken) -> Any:
    if not is_classifier(fitted):
        return np.asarray(fitted.predict(features), dtype=np.float64).reshape(len(found.frame), -1)
    if not hasattr(fitted, "predict_proba"):
        raise NotPublishable(f"{type(fitted).__name__} gives no probabilities", instead(found.interface.task, fitted))
    scores = np.asarray(fitted.predict_proba(features))
    highest = np.asarray(fitted.classes_)[scores.argmax(axis=1)]
    other = int((highest != np.asarray(fitted.predict(features)).ravel()).sum())
    if other:
        raise NotPublishable(
            f"predict() of {type(fitted).__name__} is not the class of the highest probability, on {other} of {len(scores)} rows",
            "Publish an estimator that answers by its probabilities: the one inside, or calibrate it with CalibratedClassifierCV.",
        )
    return scores


def _fix(found: Taken) -> str:
    if any(not one.required and one.type == "category" for one in found.interface.features):
        return "A missing text reaches it as NaN: use numpy.nan, not None, for missing texts, and fit again."
    return (
        "A number reaches it as float32, which keeps seven digits: round the numbers (X = X.round(3), for example) and fit again. "
        "Dates reach it as days after 1970-01-01."
    )
