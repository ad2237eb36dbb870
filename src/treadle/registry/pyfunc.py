"""How ``mlflow.pyfunc.load_model`` reads a version: from its sealed bundle, through the engine that serves it. No pickle."""

from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame

from treadle.bundle.place import Bundle, BundlePlace
from treadle.data.frame import matrix
from treadle.engine.answer import answers
from treadle.engine.session import Engine


class Model:
    """A version behind MLflow's interface."""

    def __init__(self, bundle: Bundle) -> None:
        self._engine = Engine(bundle)

    def predict(self, frame: DataFrame, params: dict[str, Any] | None = None) -> DataFrame:  # noqa: ARG002 -- MLflow's signature
        """Return one row per row of ``frame``, with its index.

        The columns are ``prediction`` and, for classes, ``confidence`` and ``probabilities.<class>``. Columns that are no
        features are left out; a feature without a column is missing everywhere.
        """
        interface = self._engine.interface
        scores = self._engine.run(matrix(interface, frame.reindex(columns=list(interface.feature_names))))
        return pd.json_normalize(answers(interface, scores)).set_index(frame.index)


def _load_pyfunc(path: str) -> Model:
    """Return the model in the folder ``path``, which holds one bundle. The name is MLflow's."""
    place = BundlePlace(Path(path))
    (digest,) = place.digests()
    return Model(place.get(digest))
