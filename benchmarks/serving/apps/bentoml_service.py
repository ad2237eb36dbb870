"""BentoML, as its guide shows a service: a class, a model that is loaded once, an API that takes an array."""

import bentoml
import numpy as np

from benchmarks.serving.apps.scores import answer, scorer

QUIET = {"access": {"enabled": False}}


@bentoml.service(workers=1, logging=QUIET)
class Iris:
    """The forest behind one API; a call runs in a thread."""

    def __init__(self) -> None:
        self.scores = scorer()

    @bentoml.api
    def predict(self, rows: np.ndarray) -> dict:  # type: ignore[type-arg]
        """Answer rows [n, f]."""
        return answer(self.scores(rows))


@bentoml.service(workers=1, logging=QUIET, metrics={"enabled": False})
class Graph:
    """The graph behind one API. It answers in microseconds, so a call stays on the event loop."""

    def __init__(self) -> None:
        self.scores = scorer()

    @bentoml.api
    async def predict(self, rows: np.ndarray) -> dict:  # type: ignore[type-arg]
        """Answer rows [n, f]."""
        return answer(self.scores(rows))
