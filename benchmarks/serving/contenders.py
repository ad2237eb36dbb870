"""Who is compared: how each one is started, how it is asked, and how its answer is read."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

import treadle
from benchmarks import house
from benchmarks.serving import sink
from benchmarks.serving.model import Floats, Model
from treadle.settings import Workspace

Family = Literal["yardstick", "naive", "treadle", "guide", "graph"]
"""``guide`` and ``graph``: a peer as its own guide shows it, and with the ONNX model inside."""

TOLERANCE = 1e-5
"""How far a probability may lie from scikit-learn's."""

EVERYTHING_ON: Mapping[str, house.Setting] = {"trace_share": 0.01}
"""The settings of the row with everything on. The key has a limit, traces go to a sink on loopback, and names are pseudonyms."""

LIMIT = 100_000
"""Requests per second that the key may make: more than are answered, so that the limit is counted and never met."""

REQUEST = "benchmark-1"
"""The request id that is sent with everything on, and logged as a hash."""
PEERS = ("bentoml", "mlserver", "kserve", "litserve", "ray", "mlflow")
NAMES = (
    *("raw-asgi", "fastapi-echo", "naive"),
    *("treadle", "treadle-everything", "treadle-host"),
    *PEERS,
    *(f"{name}-onnx" for name in PEERS),
)
"""Every contender, in the order of the table."""
APPS = "benchmarks.serving.apps"


class WrongAnswerError(Exception):
    """A contender has answered, and wrongly: what it would be timed at is of no interest."""


@dataclass(frozen=True)
class Place:
    """Where one start of a contender happens: its Python, a folder of its own, a port for HTTP, and ports for what else it opens."""

    python: Path
    folder: Path
    port: int
    others: tuple[int, ...]

    def program(self, name: str) -> str:
        """Return the path of a program of the environment."""
        return str(self.python.with_name(name))


@dataclass(frozen=True)
class Answer:
    """What a contender says of some rows: the probabilities [n, k], and the classes by position where it names them."""

    probabilities: Floats
    classes: Sequence[int] | None = None


@dataclass(frozen=True)
class Ask:
    """One kind of request: where to, what asks about rows [n, f] (an object that becomes JSON, or bytes), how the answer is read.

    Without ``read`` the answer holds no prediction, and must be ``same``: equal to what it says for these rows. ``decode`` makes of the
    bytes of an answer what ``read`` takes; ``headers`` are those that the bytes for these rows need.
    """

    path: str
    body: Callable[[Floats], object]
    read: Callable[[Any], Answer] | None = None
    same: Callable[[Floats], object] | None = None
    decode: Callable[[bytes], Any] = json.loads
    headers: Callable[[Floats], Sequence[tuple[str, str]]] = field(default=lambda _rows: ())

    def check(self, printed: bytes, rows: Floats, probabilities: Floats) -> None:
        """Hold an answer against what scikit-learn says of the rows.

        Raises:
            WrongAnswerError: it says something else.
        """
        try:
            told = self.decode(printed)
            found = self.read(told) if self.read else None
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise WrongAnswerError(f"{type(error).__name__}: {error}, in {printed[:200]!r}") from error
        if found is None:
            if self.same is not None and told != self.same(rows):
                raise WrongAnswerError(f"it is {printed[:200]!r}")
            return
        shape = np.shape(found.probabilities)
        if shape != probabilities.shape:
            raise WrongAnswerError(f"the shape of the probabilities is {shape}, not {probabilities.shape}")
        apart = float(np.abs(found.probabilities - probabilities).max())
        if not apart <= TOLERANCE:
            raise WrongAnswerError(f"a probability is {apart:.2g} away from scikit-learn's")
        classes = found.probabilities.argmax(axis=1) if found.classes is None else np.asarray(found.classes)
        if not np.array_equal(classes, probabilities.argmax(axis=1)):
            raise WrongAnswerError("it names other classes than scikit-learn")


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    ``lock`` names its environment; empty: the one that this process runs in, which is Treadle's. ``prepare`` is called before each start,
    with the place, and returns variables for the environment of the process. ``absent`` is why it cannot take part.
    """

    name: str
    title: str
    family: Family
    lock: str
    command: Callable[[Place], Sequence[str]]
    one: Ask
    batch: Ask | None = None
    prepare: Callable[[Place], Mapping[str, str]] = field(default=lambda _place: {})
    export: Callable[[Place], Sequence[str]] | None = None
    headers: Callable[[Path], Sequence[tuple[str, str]]] = field(default=lambda _folder: ())
    tensors: Ask | None = None
    absent: str = ""


def plain(path: str) -> Ask:
    """Return the form in which most are asked: rows as lists of numbers; classes and probabilities come back."""
    return Ask(path, lambda rows: {"rows": rows.tolist()}, lambda told: Answer(np.array(told["probabilities"]), told["classes"]))


def named(model: Model, row: Sequence[float]) -> dict[str, float]:
    """Return a row as an object with the names of its features."""
    return dict(zip(model.features, map(float, row), strict=True))


def every(model: Model) -> dict[str, Contender]:
    """Return all contenders by name, in the order of the table."""
    found = [*_yardsticks(model), *_treadle(model), *_peers(model, onnx=False), *_peers(model, onnx=True)]
    return {one.name: one for one in found}


def _uvicorn(app: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        return [
            *(place.program("uvicorn"), f"{APPS}.{app}:app", "--host", "127.0.0.1", "--port", str(place.port)),
            *("--no-access-log", "--log-level", "warning"),
        ]

    return command


def _yardsticks(model: Model) -> list[Contender]:
    def one(rows: Floats) -> object:
        return named(model, rows[0])

    def many(rows: Floats) -> object:
        return {"rows": [named(model, row) for row in rows]}

    def read(told: Any) -> Answer:
        return Answer(np.array(told["probabilities"]), told["classes"])

    return [
        Contender(
            "raw-asgi",
            "raw ASGI, a constant",
            "yardstick",
            "fastapi",
            _uvicorn("raw_asgi"),
            Ask("/predict", one, same=lambda _rows: {"prediction": "setosa", "probabilities": [1.0, 0.0, 0.0]}),
        ),
        Contender(
            "fastapi-echo",
            "FastAPI echo, pydantic in and out",
            "yardstick",
            "fastapi",
            _uvicorn("fastapi_echo"),
            Ask("/predict", one, same=one),
            Ask("/batch", many, same=many),
        ),
        Contender(
            "naive",
            "FastAPI + scikit-learn",
            "naive",
            "fastapi",
            _uvicorn("fastapi_sklearn"),
            Ask("/predict", one, read),
            Ask("/batch", many, read),
            lambda _place: {"BENCHMARK_MODEL": str(model.forest)},
        ),
    ]


# ours


def _treadle(model: Model) -> list[Contender]:
    def one(told: Any) -> Answer:
        return Answer(
            np.array([[told["probabilities"][name] for name in model.classes]]),
            [model.classes.index(told["prediction"])],
        )

    def many(told: Any) -> Answer:
        parts = [one(answer) for answer in told["predictions"]]
        return Answer(np.concatenate([part.probabilities for part in parts]), [part.classes[0] for part in parts if part.classes])

    asks = (
        Ask(f"/predict/{house.MODEL}", lambda rows: named(model, rows[0]), one),
        Ask(f"/predict/{house.MODEL}/batch", lambda rows: {"rows": [named(model, row) for row in rows]}, many),
    )

    def command(place: Place) -> list[str]:
        return [place.program("treadle"), "serve", "--port", str(place.port), "--workers", "1"]

    def prepare(settings: Mapping[str, house.Setting], *, everything: bool = False) -> Callable[[Place], Mapping[str, str]]:
        def ready(place: Place) -> Mapping[str, str]:
            # Each start serves from a copy: the log of an earlier round is no burden to a later one.
            sunk: Mapping[str, house.Setting] = {"traces": sink.address()} if everything else {}
            other = house.like(model.workspace, workspace_of(place.folder), {"workers": 1, **settings, **sunk})
            if everything:
                house.pseudonymize(other)
            return {"TREADLE_WORKSPACE": str(other.root)}

        return ready

    def headers(folder: Path) -> list[tuple[str, str]]:
        key = treadle.keys_create("benchmark", roles=["predict"], rate=LIMIT, burst=LIMIT, workspace=workspace_of(folder))
        return [("X-API-Key", key), ("X-Request-ID", REQUEST)]

    return [
        Contender("treadle", "Treadle", "treadle", "", command, *asks, prepare({}), tensors=_tensors(model)),
        Contender(
            "treadle-everything",
            "Treadle: keys, rate limit, trace sampling, redaction",
            "treadle",
            "",
            command,
            *asks,
            prepare(EVERYTHING_ON, everything=True),
            headers=headers,
        ),
        Contender("treadle-host", "Treadle, durability = host", "treadle", "", command, *asks, prepare({"durability": "host"})),
    ]


def _tensors(model: Model) -> Ask:
    """Return how a batch is asked for as binary tensors, a column each."""

    def head(rows: Floats) -> bytes:
        size = {"binary_data_size": 4 * len(rows)}
        inputs = [{"name": name, "datatype": "FP32", "shape": [len(rows)], "parameters": size} for name in model.features]
        return encoded({"inputs": inputs})

    def decode(printed: bytes) -> dict[str, Floats]:
        # The head is one JSON value: where it ends, the bytes begin.
        text = printed.decode("latin-1")
        told, at = json.JSONDecoder().raw_decode(text)
        found = {}
        for output in told["outputs"]:
            size = output["parameters"]["binary_data_size"]
            if output["datatype"] == "FP32":
                found[output["name"]] = np.frombuffer(printed[at : at + size], "<f4").reshape(output["shape"]).astype(np.float64)
            at += size
        return found

    return Ask(
        f"/predict/{house.MODEL}/batch",
        lambda rows: head(rows) + np.ascontiguousarray(rows.T, dtype="<f4").tobytes(),
        lambda told: Answer(told["probabilities"]),
        decode=decode,
        headers=lambda rows: [("Content-Type", "application/octet-stream"), ("Inference-Header-Content-Length", str(len(head(rows))))],
    )


def workspace_of(folder: Path) -> Path:
    """Return where the workspace of a start of Treadle lies."""
    return folder / "workspace"


def opened(folder: Path) -> Workspace:
    """Return the workspace of a start of Treadle."""
    return Workspace.find(workspace_of(folder))


# the others


def _peers(model: Model, *, onnx: bool) -> list[Contender]:
    """Return the peers: as their guides show, or with the ONNX model inside and what makes each quicker on one core."""
    file = model.graph if onnx else model.forest
    family: Family = "graph" if onnx else "guide"

    def peer(name: str, title: str, lock: str, command: Callable[[Place], Sequence[str]], ask: Ask, **more: Any) -> Contender:
        prepare = more.pop("prepare", lambda _place: {})
        return Contender(
            f"{name}-onnx" if onnx else name,
            f"{title}, {'ONNX inside' if onnx else 'scikit-learn'}",
            family,
            lock,
            command,
            ask,
            ask,
            prepare=lambda place: {"BENCHMARK_MODEL": str(file), "BENCHMARK_PORT": str(place.port), **prepare(place)},
            **more,
        )

    return [
        peer("bentoml", "BentoML", "bentoml", _bentoml("Graph" if onnx else "Iris"), plain("/predict"), prepare=_bentoml_home),
        peer("mlserver", "MLServer", "mlserver", _mlserver, _V2, prepare=lambda place: _mlserver_files(place, file, onnx=onnx)),
        peer("kserve", "KServe's server", "kserve", _module("kserve_model", port="--http_port"), _V1),
        peer("litserve", "LitServe", "litserve", _module("litserve_api"), plain("/predict")),
        peer("ray", "Ray Serve", "ray", _module("ray_deployment"), plain("/predict"), prepare=_ray_folder),
        peer(
            "mlflow",
            "mlflow models serve",
            "mlflow",
            _mlflow,
            _INVOCATIONS_OF_ONNX if onnx else _INVOCATIONS,
            export=lambda place: [str(place.python), "-m", f"{APPS}.mlflow_export", str(file), str(place.folder / "model")],
        ),
    ]


def _module(name: str, *, port: str = "") -> Callable[[Place], list[str]]:
    return lambda place: [str(place.python), "-m", f"{APPS}.{name}", *([port, str(place.port)] if port else [])]


def _bentoml(service: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        return [place.program("bentoml"), "serve", f"{APPS}.bentoml_service:{service}", "--host", "127.0.0.1", "--port", str(place.port)]

    return command


def _bentoml_home(place: Place) -> dict[str, str]:
    return {"BENTOML_HOME": str(place.folder), "BENTOML_DO_NOT_TRACK": "True"}


def _mlserver(place: Place) -> list[str]:
    return [place.program("mlserver"), "start", str(place.folder)]


def _mlserver_files(place: Place, file: Path, *, onnx: bool) -> dict[str, str]:
    settings: dict[str, object] = {"host": "127.0.0.1", "debug": False, "http_port": place.port}
    settings |= {"grpc_port": place.others[0], "metrics_port": place.others[1]}
    if onnx:
        settings["parallel_workers"] = 0  # answers in the process that was asked
    implementation = f"{APPS}.mlserver_onnx.OnnxModel" if onnx else "mlserver_sklearn.SKLearnModel"
    model = {"name": "iris", "implementation": implementation, "parameters": {"uri": str(file)}}
    (place.folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (place.folder / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    return {}


def _ray_folder(place: Place) -> dict[str, str]:
    # The sockets of Ray lie below its folder, and the path of a socket must be short.
    return {"RAY_USAGE_STATS_ENABLED": "0", "BENCHMARK_SHORT": str(place.folder.parent / "r")}


def _mlflow(place: Place) -> list[str]:
    return [
        *(place.program("mlflow"), "models", "serve", "--model-uri", str(place.folder / "model"), "--env-manager", "local"),
        *("--host", "127.0.0.1", "--port", str(place.port), "--workers", "1"),
    ]


_V1 = Ask("/v1/models/iris:predict", lambda rows: {"instances": rows.tolist()}, lambda told: Answer(np.array(told["predictions"])))
_V2 = Ask(
    "/v2/models/iris/infer",
    lambda rows: {
        "inputs": [{"name": "rows", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel().tolist()}],
        "outputs": [{"name": "predict_proba"}],
    },
    lambda told: Answer(np.array(told["outputs"][0]["data"]).reshape(told["outputs"][0]["shape"])),
)
_INVOCATIONS = Ask("/invocations", lambda rows: {"inputs": rows.tolist()}, lambda told: Answer(np.array(told["predictions"])))
_INVOCATIONS_OF_ONNX = Ask(
    "/invocations", lambda rows: {"inputs": {"matrix": rows.tolist()}}, lambda told: Answer(np.array(told["predictions"]["scores"]))
)


def encoded(body: object) -> bytes:
    """Return a body as the bytes of compact JSON; bytes as they are."""
    return body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()


def ours() -> Path:
    """Return the Python of Treadle's own environment: the one that this process runs in."""
    return Path(sys.executable)
