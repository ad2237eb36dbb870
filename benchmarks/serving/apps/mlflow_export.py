"""Save the model as an MLflow model, for ``mlflow models serve``: python mlflow_export.py FILE FOLDER."""

import sys
from pathlib import Path

import mlflow
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec


def export(file: Path, folder: Path) -> None:
    """Save the forest or the graph of ``file`` in ``folder``."""
    if file.suffix == ".onnx":
        import onnx  # noqa: PLC0415

        mlflow.onnx.save_model(
            onnx.load(file),
            folder,
            signature=ModelSignature(
                Schema([TensorSpec(np.dtype("float32"), (-1, 4), "matrix")]), Schema([TensorSpec(np.dtype("float32"), (-1, 3), "scores")])
            ),
            onnx_session_options={"intra_op_num_threads": 1, "inter_op_num_threads": 1},
            pip_requirements=[],
        )
        return
    import joblib  # noqa: PLC0415

    mlflow.sklearn.save_model(
        joblib.load(file),
        folder,
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
        signature=ModelSignature(Schema([TensorSpec(np.dtype("float64"), (-1, 4))]), Schema([TensorSpec(np.dtype("float64"), (-1, 3))])),
        pip_requirements=[],
    )


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]))
