"""The scikit-learn pipeline over the float32 matrix: what the contract says about preparation, then the project's estimator.

Everything that it does to a row is also in the exported graph, so it uses only steps whose conversion is exact. The
estimator sees no missing value: what a learner itself would do with one does not survive the export. It sees the numbers
and booleans first, then the categories.
"""

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from treadle.spec import CategoryFeature, Interface
from treadle.training.columns import Columns
from treadle.training.metrics import Floats

UNSEEN = -1.0
"""The code of a category outside the contract's list; a missing category is treated as one."""

PREPARE, ESTIMATOR = "prepare", "estimator"
NUMBERS, CATEGORIES = "numbers", "categories"
SCALE = "scale"


def build_pipeline(interface: Interface, estimator: Any) -> Pipeline:
    """Return the unfitted pipeline; its input is the matrix float32 [n, f] in the order of the interface's features.

    With ``preprocessing.input: columns`` the estimator gets the contract's columns as they are, and prepares them itself.
    """
    if interface.preprocessing.input == "columns":
        return Pipeline([(PREPARE, Columns(interface)), (ESTIMATOR, estimator)])
    numbers, categories = columns(interface)
    branches = []
    if numbers:
        branches.append((NUMBERS, _numbers(interface), numbers))
    if categories:
        branches.append((CATEGORIES, _categories(interface), categories))
    return Pipeline([(PREPARE, ColumnTransformer(branches)), (ESTIMATOR, estimator)])


def around(interface: Interface, fitted: Any) -> Pipeline:
    """Return the pipeline of an estimator that has been fitted elsewhere, on columns or on an array of them."""
    return Pipeline([(PREPARE, Columns(interface, named=hasattr(fitted, "feature_names_in_"))), (ESTIMATOR, fitted)])


def columns(interface: Interface) -> tuple[list[int], list[int]]:
    """Return the columns of the matrix with numbers and booleans, and those with categories."""
    categories = [index for index, feature in enumerate(interface.features) if isinstance(feature, CategoryFeature)]
    return [index for index in range(len(interface.features)) if index not in categories], categories


def scores_of(pipeline: Pipeline, interface: Interface, matrix: Floats) -> Floats:
    """Return what a fitted pipeline says of the rows, in the shape of the graph's scores: float [n, interface.score_count]."""
    if interface.task == "regression":
        return np.asarray(pipeline.predict(matrix)).reshape(-1, 1)
    return np.asarray(pipeline.predict_proba(matrix))


def _numbers(interface: Interface) -> Pipeline:
    how = interface.preprocessing.impute
    strategy = "constant" if how == "zero" else how
    # A column without any value in the training rows stays, as zeros: the graph's columns never depend on the data.
    steps: list[tuple[str, Any]] = [("impute", SimpleImputer(strategy=strategy, fill_value=0.0, keep_empty_features=True))]
    if interface.preprocessing.scale:
        steps.append((SCALE, StandardScaler()))
    return Pipeline(steps)


def _categories(interface: Interface) -> Pipeline:
    steps: list[tuple[str, Any]] = [("missing", SimpleImputer(strategy="constant", fill_value=UNSEEN, keep_empty_features=True))]
    if interface.preprocessing.categories == "onehot":
        codes = [
            [float(code) for code in range(len(feature.categories))]
            for feature in interface.features
            if isinstance(feature, CategoryFeature)
        ]
        steps.append(("onehot", OneHotEncoder(categories=codes, handle_unknown="ignore", sparse_output=False, dtype="float32")))
    return Pipeline(steps)
