"""LitServe, as its guide shows an API: set up, decode, predict, encode."""

import os
from typing import Any

import litserve
import numpy as np

from benchmarks.serving.apps.scores import FILE, Matrix, answer, scorer


class Iris(litserve.LitAPI):
    """The forest behind one API."""

    def setup(self, device: str) -> None:  # noqa: ARG002 (there is one device)
        """Load the model in the process that answers."""
        self.scores = scorer()

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 (LitServe reads the annotations)
        """Return the rows of a request."""
        return np.asarray(request["rows"])

    def predict(self, rows: Matrix) -> Matrix:
        """Return the probabilities."""
        return self.scores(rows)

    def encode_response(self, probabilities: Matrix) -> Any:
        """Return the answer."""
        return answer(probabilities)


if __name__ == "__main__":
    # With the graph inside, everything that makes it quicker.
    quick = os.environ[FILE].endswith(".onnx")
    server = litserve.LitServer(Iris(), accelerator="cpu", workers_per_device=1, fast_queue=quick)
    server.run(host="127.0.0.1", port=int(os.environ["BENCHMARK_PORT"]), num_api_servers=1, log_level="warning", generate_client_file=False)
