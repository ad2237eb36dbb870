import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from onnx import helper

from tests.unit.engine.conftest import FEATURES, WEIGHTS, graph, linear, matrix
from treadle.bundle.manifest import Lineage
from treadle.bundle.place import Bundle
from treadle.bundle.profile import build
from treadle.engine.session import Engine, Graph
from treadle.errors import GraphInvalid, InferenceFailed
from treadle.spec import Interface, canonical_json


def softmax(sums: np.ndarray) -> np.ndarray:
    exponents = np.exp(sums - sums.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_the_scores_are_those_of_the_model(count: int, linear_graph: Graph) -> None:
    rows = matrix(count)

    scores = Engine(linear_graph).run(rows)

    assert scores.dtype == np.float32
    assert scores.shape == (count, 2)
    np.testing.assert_allclose(scores, softmax(rows @ WEIGHTS), atol=1e-6)


def test_no_rows_give_no_scores(linear_graph: Graph) -> None:
    assert Engine(linear_graph).run(matrix(0)).shape == (0, 2)


def test_an_engine_runs_the_graph_of_a_bundle(interface: Interface) -> None:
    lineage = Lineage(
        data_digest="", data_source="", simulated=True, rows=9, seed=1, interface_digest="", code_digest="", python="", packages={}
    )
    files = {
        "model.onnx": linear(),
        "interface.json": canonical_json(interface.model_dump(mode="json")),
        "profile.json": build(interface, matrix(9), matrix(9)[:, :2]).to_bytes(),
        "card.json": b"{}",
    }
    bundle = Bundle.seal(files, "churn", lineage)

    engine = Engine(bundle)

    assert engine.interface == interface
    assert engine.name == f"churn {bundle.digest[:12]}"
    np.testing.assert_allclose(engine.run(matrix(3)), softmax(matrix(3) @ WEIGHTS), atol=1e-6)


def test_a_graph_that_fails_on_some_rows_says_so_and_answers_the_others(fragile_graph: Graph) -> None:
    engine = Engine(fragile_graph)
    fine, wrong = np.zeros((2, FEATURES), np.float32), np.full((1, FEATURES), 7, np.float32)

    with pytest.raises(InferenceFailed, match=r"graph of fragile failed on these rows.*out of") as caught:
        engine.run(wrong)

    assert caught.value.__cause__ is not None
    assert engine.run(fine).tolist() == [pytest.approx([0.9, 0.1])] * 2


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_no_answer(value: float, count: int, linear_graph: Graph) -> None:
    rows = matrix(count)
    rows[count // 2, 1] = value

    with pytest.raises(InferenceFailed, match="not a finite number"):
        Engine(linear_graph).run(rows)


def test_large_finite_scores_are_an_answer(interface: Interface) -> None:
    largest = np.full((FEATURES, 2), np.finfo(np.float32).max / FEATURES, np.float32)
    engine = Engine(Graph("large", graph([helper.make_node("MatMul", ["matrix", "w"], ["scores"])], {"w": largest}), interface))

    assert np.isfinite(engine.run(np.ones((3, FEATURES), np.float32))).all()


@pytest.mark.parametrize(
    "rows", [np.zeros((2, FEATURES + 1), np.float32), np.zeros((2, FEATURES), np.float64), np.zeros(FEATURES, np.float32)]
)
def test_rows_of_another_shape_or_type_are_refused(rows: np.ndarray, linear_graph: Graph) -> None:
    with pytest.raises(InferenceFailed, match="linear"):
        Engine(linear_graph).run(rows)


def test_scores_of_another_width_are_refused(interface: Interface) -> None:
    with pytest.raises(InferenceFailed, match=r"shape \[2, 3\] for 2 rows"):
        Engine(Graph("wide", linear(classes=3), interface)).run(matrix(2))


@pytest.mark.parametrize("content", [b"", b"no graph", linear()[:-40]])
def test_bytes_that_are_no_graph_are_refused(content: bytes, interface: Interface) -> None:
    with pytest.raises(GraphInvalid, match="graph of broken cannot be used"):
        Engine(Graph("broken", content, interface))


def _renamed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    return content.replace(old, new)


@pytest.mark.parametrize(
    "content",
    [
        _renamed(linear(), b"matrix", b"tables"),
        _renamed(linear(), b"scores", b"values"),
        linear(rows=1),
        graph([helper.make_node("ReduceMean", ["matrix"], ["scores"], axes=[1])], {}, columns=FEATURES + 1),
    ],
)
def test_a_graph_with_another_input_or_output_is_refused(content: bytes, interface: Interface) -> None:
    with pytest.raises(GraphInvalid, match=r"it (takes|gives) .* not one '(matrix|scores)' of float32 \[n, [26]\]"):
        Engine(Graph("other", content, interface))


def test_warming_returns_the_median_of_its_times(linear_graph: Graph) -> None:
    ticks = itertools.accumulate([0, 9, 0, 1, 0, 2])

    assert Engine(linear_graph, threads=2).warm(3, clock=lambda: float(next(ticks))) == 2


def test_warming_sees_which_graph_is_slow(linear_graph: Graph, slow_graph: Graph) -> None:
    assert Engine(slow_graph).warm(5) > 10 * Engine(linear_graph).warm(5)


def test_warming_tells_of_a_graph_that_fails_on_its_example(fragile_graph: Graph) -> None:
    with pytest.raises(InferenceFailed):  # the middle of 0 to 72 is not in its table
        Engine(fragile_graph).warm()


def test_a_closed_engine_refuses(linear_graph: Graph) -> None:
    engine = Engine(linear_graph)
    engine.close()

    with pytest.raises(InferenceFailed, match="closed"):
        engine.run(matrix(1))


def test_threads_share_an_engine(linear_graph: Graph) -> None:
    engine = Engine(linear_graph)
    with ThreadPoolExecutor(4) as pool:
        several = list(pool.map(lambda seed: engine.run(matrix(20, seed)), range(40)))

    for seed, scores in enumerate(several):
        np.testing.assert_allclose(scores, softmax(matrix(20, seed) @ WEIGHTS), atol=1e-6)


def test_the_engine_loads_no_training_library() -> None:
    code = (
        "import sys, treadle.engine.session, treadle.engine.encode, treadle.engine.answer;"
        "print({name.partition('.')[0] for name in sys.modules}"
        " & {'sklearn', 'pandas', 'torch', 'mlflow', 'lightgbm', 'xgboost', 'scipy', 'onnx', 'joblib', 'fastapi', 'sqlalchemy'})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "set()"
