"""KServe's server, as its guide shows a predictor of one's own; it listens on 127.0.0.1 alone, and writes no line per request."""

import argparse
import logging
from typing import Any

import kserve
import numpy as np
import uvicorn
from kserve.protocol.rest import server

from benchmarks.serving.apps.scores import scorer


class Iris(kserve.Model):
    """The forest behind the first version of the protocol."""

    def __init__(self) -> None:
        super().__init__("iris")
        self.scores = scorer()
        self.ready = True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:  # noqa: ARG002 (the server passes them)
        """Answer the instances."""
        return {"predictions": self.scores(np.asarray(payload["instances"])).tolist()}


class Loopback(uvicorn.Config):
    """What the server is set up by, with another address and without an access log."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **{**settings, "host": "127.0.0.1", "access_log": False})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
    parser.parse_known_args()
    server.uvicorn.Config = Loopback
    ready = kserve.ModelServer(enable_grpc=False, enable_latency_logging=False)
    logging.getLogger("kserve.trace").setLevel(logging.WARNING)
    ready.start([Iris()])
