"""A loaded graph: rows in, scores out."""

import math
import statistics
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from treadle.bundle.place import MODEL_FILE, Bundle
from treadle.engine.encode import example, to_matrix
from treadle.errors import GraphInvalid, InferenceFailed
from treadle.spec import Interface

INPUT = "matrix"
OUTPUT = "scores"
FLOAT = "tensor(float)"

Floats = NDArray[np.float32]


class Graph(NamedTuple):
    """A graph that is not sealed yet, the interface it was made for, and the name that errors call it."""

    name: str
    content: bytes
    interface: Interface


class Engine:
    """A loaded graph, built from the very bytes of a bundle that were checked. Threads may share it.

    Raises:
        GraphInvalid: the graph cannot be loaded, or its input and output are not those that the interface asks for.
    """

    def __init__(self, source: Bundle | Graph, threads: int = 1) -> None:
        graph = source if isinstance(source, Graph) else _sealed(source)
        self.interface = graph.interface
        self.name = graph.name
        try:
            session = ort.InferenceSession(graph.content, _options(threads), providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's errors have no base class of their own
            raise GraphInvalid(self.name, str(error)) from error
        _check(session, graph)
        self._session: ort.InferenceSession | None = session
        self._width = self.interface.score_count

    def run(self, matrix: Floats, halt: ort.RunOptions | None = None) -> Floats:
        """Return the scores, float32 of shape [n, interface.score_count], of rows, float32 of shape [n, features].

        Whoever sets ``halt.terminate`` while it runs, in another thread, ends it soon after as a failure.

        Raises:
            InferenceFailed: the graph failed on these rows, or gave scores that are not finite; or the engine is closed.
        """
        if self._session is None:
            raise InferenceFailed(self.name, "the engine is closed.")
        if not len(matrix):
            return np.empty((0, self._width), dtype=np.float32)
        try:
            (scores,) = self._session.run((OUTPUT,), {INPUT: matrix}, halt)
        except Exception as error:  # the runtime's errors have no base class of their own
            raise InferenceFailed(self.name, str(error)) from error
        if scores.shape != (len(matrix), self._width):
            raise InferenceFailed(self.name, f"scores have shape {list(scores.shape)} for {len(matrix)} rows.")
        if not _finite(scores):
            raise InferenceFailed(self.name, "a score is not a finite number.")
        return scores  # type: ignore[no-any-return]

    def warm(self, rows: int = 50, *, clock: Callable[[], float] = perf_counter) -> float:
        """Answer the example row ``rows`` times, and return the median of the seconds that it took.

        Raises:
            InferenceFailed: the graph fails on its own example.
        """
        matrix = to_matrix(self.interface, [example(self.interface)])
        seconds = []
        for _ in range(rows):
            start = clock()
            self.run(matrix)
            seconds.append(clock() - start)
        return statistics.median(seconds)

    def single(self) -> "Single":
        """Return what runs the graph on one row at a time, after its first run, on the example row.

        Raises:
            InferenceFailed: it fails there, or the engine is closed.
        """
        if self._session is None:
            raise InferenceFailed(self.name, "the engine is closed.")
        single = Single(self._session, len(self.interface.features), self._width)
        try:
            single.run(to_matrix(self.interface, [example(self.interface)]).tobytes())
        except Exception as error:  # the runtime's errors have no base class of their own
            raise InferenceFailed(self.name, str(error)) from error
        return single

    def close(self) -> None:
        """Let go of the graph's memory; rows are refused from now on."""
        self._session = None


class Single:
    """Runs a graph on one row, in memory that is bound to it once: half of what ``Engine.run`` costs for one row. For one thread."""

    def __init__(self, session: ort.InferenceSession, features: int, width: int) -> None:
        row, scores = np.zeros((1, features), np.float32), np.zeros((1, width), np.float32)
        binding = session.io_binding()
        binding.bind_input(INPUT, "cpu", 0, np.float32, row.shape, row.ctypes.data)
        binding.bind_output(OUTPUT, "cpu", 0, np.float32, scores.shape, scores.ctypes.data)
        # What the public method does before this call is about devices that are not used here, and takes as long as a small graph.
        self._run, self._binding = partial(session._sess.run_with_iobinding, binding._iobinding, None), binding  # noqa: SLF001
        self._row, self._scores = row.data.cast("B"), scores.data.cast("B")

    def run(self, row: bytes) -> bytes:
        """Return the scores of a row, both as the float32 of this machine; whether they are finite is not looked at.

        Raises:
            Exception: the graph failed, or has another number of scores; the runtime's errors have no base class of their own.
        """
        self._row[:] = row
        self._run()
        return self._scores.tobytes()


def _sealed(bundle: Bundle) -> Graph:
    return Graph(f"{bundle.manifest.model} {bundle.digest[:12]}", bundle.files[MODEL_FILE], bundle.interface)


def _check(session: ort.InferenceSession, graph: Graph) -> None:
    """Refuse a graph that does not take one matrix of any number of rows, or does not give one array of scores."""
    features, scores = len(graph.interface.features), graph.interface.score_count
    inputs = [(node.name, node.type, node.shape) for node in session.get_inputs()]
    outputs = [(node.name, node.type, node.shape) for node in session.get_outputs()]
    if len(inputs) != 1 or inputs[0][:2] != (INPUT, FLOAT) or inputs[0][2][1:] != [features] or isinstance(inputs[0][2][0], int):
        raise GraphInvalid(graph.name, f"it takes {inputs}, not one {INPUT!r} of float32 [n, {features}].")
    # A converter may leave the width of the output open; then each run looks at it.
    if len(outputs) != 1 or outputs[0][:2] != (OUTPUT, FLOAT):
        raise GraphInvalid(graph.name, f"it gives {outputs}, not one {OUTPUT!r} of float32 [n, {scores}].")


def _finite(scores: Floats) -> bool:
    """Tell whether all scores are numbers. Most requests have one row, for which numpy takes longer to start than Python to look."""
    if len(scores) == 1:
        return all(map(math.isfinite, scores[0].tolist()))
    return bool(np.isfinite(scores).all())


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A thread that waits must not keep a core busy: several workers share the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
