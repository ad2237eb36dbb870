"""Whatever is refused is named with the nearest kind that is exported, and that kind is."""

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes IterativeImputer known
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils import all_estimators

from treadle.errors import NotExportable
from treadle.spec import Interface, NumberFeature, Preprocessing, Target
from treadle.training.export import to_onnx
from treadle.training.nearest import NEAREST
from treadle.training.parity import parity
from treadle.training.pipeline import build_pipeline

KINDS = dict(all_estimators())
FEATURES = tuple(NumberFeature(name=f"x{index}", type="number") for index in range(4))
OF_COLUMNS = Preprocessing(input="columns")
CLASSES = Interface(task="binary", target=Target(name="y", classes=("a", "b")), features=FEATURES, preprocessing=OF_COLUMNS)
VALUES = Interface(task="regression", target=Target(name="y"), features=FEATURES, preprocessing=OF_COLUMNS)
ROWS = np.random.default_rng(0).random((60, 4)).round(3).astype(np.float32)

OWN: dict[str, dict[str, Any]] = {
    "RadiusNeighborsClassifier": {"radius": 2.0},
    "RadiusNeighborsRegressor": {"radius": 2.0},
    "FunctionTransformer": {"func": np.log1p},
    "KMeans": {"n_clusters": 2, "n_init": 1},
    "MLPClassifier": {"max_iter": 20},
    "MLPRegressor": {"max_iter": 20},
    "RandomForestClassifier": {"n_estimators": 5},
    "RandomForestRegressor": {"n_estimators": 5},
    "ExtraTreesClassifier": {"n_estimators": 5},
    "ExtraTreesRegressor": {"n_estimators": 5},
    "QuantileTransformer": {"n_quantiles": 20},
    "Nystroem": {"n_components": 5},
    "RandomTreesEmbedding": {"n_estimators": 3},
}


def exported(name: str) -> tuple[Any, bytes, Interface]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these few rows converge nowhere, and some kinds are on their way out
        made = KINDS[name](**OWN.get(name, {}))
        interface = VALUES if name in dict(all_estimators(type_filter="regressor")) else CLASSES
        if not hasattr(made, "predict") or name in dict(all_estimators(type_filter="cluster")):
            made = make_pipeline(made, LogisticRegression())
        y = ROWS @ np.arange(1, 5) if interface is VALUES else (ROWS[:, 0] > 0.5).astype(int)
        pipeline = build_pipeline(interface, made).fit(ROWS, y)
        return pipeline, to_onnx(pipeline, interface), interface


@pytest.mark.parametrize("name", NEAREST)
def test_each_refused_kind_is_named_with_the_nearest(name: str) -> None:
    with pytest.raises(NotExportable) as caught:
        exported(name)
    assert f"({name})" in caught.value.what
    assert caught.value.fix == f"Use {' or '.join(NEAREST[name])}: the nearest that can be exported."


@pytest.mark.parametrize("name", sorted({name for names in NEAREST.values() for name in names}))
def test_each_nearest_is_exported_and_agrees(name: str) -> None:
    pipeline, content, interface = exported(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert parity(pipeline, content, interface, ROWS).share_beyond == 0
