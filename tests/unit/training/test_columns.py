"""An estimator that prepares the contract's columns itself: what it is given, and that its graph answers as it does."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, RobustScaler, StandardScaler
from xgboost import XGBClassifier

from treadle.data.frame import matrix
from treadle.engine.session import Engine, Graph
from treadle.errors import NotExportable
from treadle.spec import BooleanFeature, CategoryFeature, DateFeature, Interface, NumberFeature, Preprocessing, Target
from treadle.training.columns import UNSEEN, plain
from treadle.training.export import to_onnx
from treadle.training.parity import edges, parity
from treadle.training.pipeline import PREPARE, around, build_pipeline

NAN = float("nan")
NUMBERS, TEXTS = ["age", "income (k)", "scores"], ["city", "plan"]
INTERFACE = Interface(
    task="binary",
    target=Target(name="stays", classes=("no", "yes")),
    features=(
        NumberFeature(name="age", type="integer"),
        NumberFeature(name="income (k)", type="number", required=False),
        NumberFeature(name="scores", type="number"),
        CategoryFeature(name="city", type="category", categories=("Ulm", "Bonn", "Köln")),
        CategoryFeature(name="plan", type="category", categories=("a", "b"), required=False),
        BooleanFeature(name="vip", type="boolean"),
    ),
    preprocessing=Preprocessing(input="columns"),
)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    draw, n = np.random.default_rng(0), 600
    frame = pd.DataFrame(
        {
            "age": draw.integers(18, 90, n),
            "income (k)": np.where(draw.random(n) < 0.1, np.nan, draw.lognormal(3, 1, n)).round(2),
            "scores": draw.random(n).round(4),
            "city": draw.choice(["Ulm", "Bonn", "Köln"], n),
            "plan": np.where(draw.random(n) < 0.2, np.nan, draw.choice(["a", "b"], n).astype(object)),
            "vip": draw.random(n) > 0.5,
        }
    )
    value = frame["age"] / 50 + frame["income (k)"].fillna(20) / 40 + (frame["city"] == "Ulm") + draw.normal(0, 0.5, n)
    return frame.assign(stays=np.where(value > 2.2, "yes", "no"))


def scaled() -> ColumnTransformer:
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return ColumnTransformer([("n", numbers, NUMBERS), ("t", texts, TEXTS), ("b", "passthrough", ["vip"])], sparse_threshold=0)


def selected() -> ColumnTransformer:
    return ColumnTransformer(
        [("t", OneHotEncoder(handle_unknown="ignore"), make_column_selector(pattern="city|plan")), ("v", OneHotEncoder(), ["vip"])],
        remainder=SimpleImputer(strategy="median"),
        sparse_threshold=0,
    )


def by_position() -> ColumnTransformer:
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    numbers = make_pipeline(SimpleImputer(strategy="constant", fill_value=0), RobustScaler(), MinMaxScaler())
    return ColumnTransformer([("c", codes, [3, 4]), ("n", numbers, slice(0, 3))], remainder="drop")


Make = Callable[[], Any]
PREPARED: dict[str, Make] = {"scaled": scaled, "selected": selected, "by position": by_position}
LEARNERS: dict[str, Make] = {
    "logistic": lambda: LogisticRegression(max_iter=5000),
    "forest": lambda: RandomForestClassifier(21, random_state=0),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=20, random_state=0),
    "lightgbm": lambda: LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1),
    "xgboost": lambda: XGBClassifier(n_estimators=20, n_jobs=1),
    "voting": lambda: VotingClassifier(
        [("f", RandomForestClassifier(5, random_state=0)), ("l", LogisticRegression(max_iter=5000))], voting="soft"
    ),
}


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("prepared", PREPARED)
def test_graphs_answer_as_estimators_do_and_have_the_same_bytes(frame: pd.DataFrame, prepared: str, learner: str) -> None:
    features = frame[list(INTERFACE.feature_names)]
    estimator = make_pipeline(PREPARED[prepared](), LEARNERS[learner]()).fit(features, frame["stays"] == "yes")
    pipeline = around(INTERFACE, estimator)
    content, rows = to_onnx(pipeline, INTERFACE), matrix(INTERFACE, frame)
    found = parity(pipeline, content, INTERFACE, rows[:200])
    assert (found.share_beyond, found.label_agreement) == (0.0, 1.0)
    assert Engine(Graph("it", content, INTERFACE)).run(rows) == pytest.approx(estimator.predict_proba(features), abs=1e-5)
    assert content == to_onnx(pipeline, INTERFACE)
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model)
    assert ([one.name for one in model.graph.input], [one.name for one in model.graph.output]) == (["matrix"], ["scores"])


def test_trees_on_histograms_meet_missing_values_as_they_do_in_python(frame: pd.DataFrame) -> None:
    features = frame[NUMBERS]
    interface = INTERFACE.model_copy(update={"features": INTERFACE.features[:3]})
    estimator = HistGradientBoostingClassifier(max_iter=10, random_state=0).fit(features, frame["stays"])
    pipeline, rows = around(interface, estimator), matrix(interface, frame)
    content = to_onnx(pipeline, interface)
    assert parity(pipeline, content, interface, rows).share_beyond == 0
    assert Engine(Graph("it", content, interface)).run(rows) == pytest.approx(estimator.predict_proba(features), abs=1e-5)


def test_an_estimator_fitted_on_an_array_gets_an_array(frame: pd.DataFrame) -> None:
    interface = INTERFACE.model_copy(update={"features": (INTERFACE.features[0], INTERFACE.features[2])})
    rows = matrix(interface, frame)
    estimator = Pipeline([("scale", StandardScaler()), ("learn", LogisticRegression())]).fit(rows.astype(np.float64), frame["stays"])
    pipeline = around(interface, estimator)
    assert parity(pipeline, to_onnx(pipeline, interface), interface, rows).share_beyond == 0


def test_texts_alone_need_no_column_transformer(frame: pd.DataFrame) -> None:
    interface = INTERFACE.model_copy(update={"features": (INTERFACE.features[3],)})
    estimator = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(frame[["city"]], frame["stays"])
    pipeline, rows = around(interface, estimator), matrix(interface, frame)
    assert parity(pipeline, to_onnx(pipeline, interface), interface, rows).share_beyond == 0


def test_the_estimator_gets_the_columns_of_the_contract() -> None:
    interface = INTERFACE.model_copy(update={"features": (*INTERFACE.features, DateFeature(name="since", type="date"))})
    rows = np.array([[40, 2.5, 1, 0, NAN, 1, 365], [41, NAN, 1, -1, 1, 0, 0]], dtype=np.float32)
    columns = build_pipeline(interface, LogisticRegression()).named_steps[PREPARE].transform(rows)
    assert [kind.kind for kind in columns.dtypes if isinstance(kind, np.dtype)] == ["i", "f", "f", "b", "f"]
    assert columns["age"].tolist() == [40, 41]
    assert columns["city"].tolist() == ["Ulm", UNSEEN]
    assert columns["plan"].isna().tolist() == [True, False]
    assert columns["since"].tolist() == [365.0, 0.0]


def test_numbers_are_the_decimals_that_float32_stands_for() -> None:
    known = np.array([13.06, 0.1, -1234.567, 1e-7, 3e8, 0, 16777216, 1.5, NAN])
    assert plain(known.astype(np.float32)) == pytest.approx(known, abs=0, rel=0, nan_ok=True)
    odd = np.array([1 / 3, 123456789], dtype=np.float32)
    assert (plain(odd).astype(np.float32) == odd).all()


def test_edges_lie_where_the_answer_changes() -> None:
    interface = INTERFACE.model_copy(update={"features": (INTERFACE.features[0], INTERFACE.features[2])})
    rows = np.array([[age, age / 100] for age in range(18, 90)], dtype=np.float32)
    low, high, whole = edges(lambda rows: (rows[:, :1] >= 40) + 2.0 * (rows[:, 1:] > 0.3), interface, rows)
    parted = (low != high).any(axis=1)
    near = [sorted(pair) for pair in zip(low[parted, 1], high[parted, 1], strict=True) if pair[0] != pair[1]]
    assert [np.float32(0.3), np.nextafter(np.float32(0.3), np.float32(1))] in near
    assert sorted({low[parted & whole, 0].max(), high[parted & whole, 0].max()}) in ([39, 40], [40])


def test_zeros_of_a_sparse_matrix_are_missing_to_xgboost(frame: pd.DataFrame) -> None:
    features = frame[["city"]]
    interface = INTERFACE.model_copy(update={"features": (INTERFACE.features[3],)})
    estimator = make_pipeline(OneHotEncoder(), XGBClassifier(n_estimators=2)).fit(features, frame["stays"] == "yes")
    with pytest.raises(NotExportable, match="zero of a sparse matrix") as caught:
        to_onnx(around(interface, estimator), interface)
    assert "sparse_output=False" in caught.value.fix
