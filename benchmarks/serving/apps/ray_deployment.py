"""Ray Serve, as its guide for scikit-learn shows a deployment."""

import os
import signal
from typing import Any

import numpy as np
import ray
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig
from starlette.requests import Request

from benchmarks.serving.apps.scores import FILE, answer, scorer


@serve.deployment(num_replicas=1, ray_actor_options={"num_cpus": 0.1}, logging_config=LoggingConfig(enable_access_log=False))
class Iris:
    """The forest behind one route."""

    def __init__(self) -> None:
        self.scores = scorer()

    async def __call__(self, request: Request) -> Any:
        """Answer the rows of a request."""
        payload = await request.json()
        return answer(self.scores(np.asarray(payload["rows"])))


if __name__ == "__main__":
    passed = {name: os.environ[name] for name in (FILE, "PYTHONPATH", "OMP_NUM_THREADS")}
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        object_store_memory=100_000_000,
        _node_ip_address="127.0.0.1",
        _temp_dir=os.environ["BENCHMARK_SHORT"],
        runtime_env={"env_vars": passed},
    )
    serve.start(
        http_options=HTTPOptions(host="127.0.0.1", port=int(os.environ["BENCHMARK_PORT"])),
        logging_config=LoggingConfig(enable_access_log=False),
    )
    serve.run(Iris.bind(), name="iris", route_prefix="/predict")  # type: ignore[attr-defined]
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
