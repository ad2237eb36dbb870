"""What every peer answers with: the forest of scikit-learn, or the same forest as ONNX, by the ending of the file that is named."""

import os
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

FILE = "BENCHMARK_MODEL"
"""The variable that names the file."""

Matrix = npt.NDArray[np.float64] | npt.NDArray[np.float32]


def scorer() -> Callable[[Matrix], Matrix]:
    """Return what maps rows [n, f] to probabilities [n, k]; each library is imported only where it is used."""
    path = os.environ[FILE]
    if not path.endswith(".onnx"):
        import joblib  # noqa: PLC0415

        forest = joblib.load(path)
        probabilities: Callable[[Matrix], Matrix] = forest.predict_proba
        return probabilities

    import onnxruntime as ort  # noqa: PLC0415

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def scores(rows: Matrix) -> Matrix:
        found: Matrix = session.run(["scores"], {"matrix": np.asarray(rows, dtype=np.float32)})[0]
        return found

    return scores


def answer(probabilities: Matrix) -> dict[str, list[int] | list[list[float]]]:
    """Return the classes, as positions, and the probabilities of some rows, ready for JSON."""
    return {"classes": probabilities.argmax(axis=1).tolist(), "probabilities": probabilities.tolist()}
