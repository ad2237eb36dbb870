"""A pipeline fitted in a notebook is served, and the service answers as the notebook does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import treadle
from treadle.bundle.place import MEASURED_FILE, BundlePlace
from treadle.drafting.published import Published, stop
from treadle.errors import ProjectEdited, RequestRefused
from treadle.projects import find
from treadle.settings import Workspace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

NOTEBOOK = Path(__file__).parents[3] / "notebooks" / "publish.ipynb"


@pytest.fixture(scope="module")
def table() -> tuple[pd.DataFrame, "pd.Series[Any]"]:
    draw, n = np.random.default_rng(3), 400
    frame = pd.DataFrame(
        {
            "age": draw.integers(18, 90, n),
            "income": np.where(draw.random(n) < 0.1, np.nan, draw.lognormal(3, 1, n)).round(2),
            "city": draw.choice(["Ulm", "Bonn", "Köln"], n),
            "vip": draw.random(n) > 0.5,
        }
    )
    value = frame["age"] / 30 + (frame["city"] == "Ulm") + draw.normal(0, 0.3, n)
    return frame, pd.Series(np.where(value > 2.3, 1, 0), name="stays")


@pytest.fixture(scope="module")
def fitted(table: tuple[pd.DataFrame, "pd.Series[Any]"]) -> Any:
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"]),
            ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ],
        remainder="passthrough",
    )
    return make_pipeline(prepare, RandomForestClassifier(31, class_weight={0: 1, 1: 2}, random_state=0)).fit(*table)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "treadle.toml").write_text("port = 0\nworkers = 1\n", encoding="utf-8")
    place = Workspace.find(folder)
    yield place
    stop(place.home)


@pytest.fixture(scope="module")
def published(workspace: Workspace, fitted: Any, table: tuple[pd.DataFrame, "pd.Series[Any]"]) -> Published:
    return treadle.publish(fitted, *table, name="stays", serve=True, workspace=workspace)


def test_the_service_answers_every_row_as_the_notebook_does(
    published: Published, fitted: Any, table: tuple[pd.DataFrame, "pd.Series[Any]"]
) -> None:
    features, _ = table
    answers = published.predict(features)
    assert answers.dtype == fitted.predict(features).dtype
    assert (answers == fitted.predict(features)).all()
    assert published.predict_proba(features) == pytest.approx(fitted.predict_proba(features), abs=1e-5)
    assert published.agreement.different == 0


def test_what_is_measured_has_not_learned_the_rows(
    workspace: Workspace, published: Published, fitted: Any, table: tuple[pd.DataFrame, "pd.Series[Any]"]
) -> None:
    features, answers = table
    report = treadle.evaluate("stays", workspace=workspace)
    assert "fitted elsewhere" in report.card["note"]
    # The pipeline knows its own rows nearly by heart, its clone does not know the held-out ones.
    assert report.card["metrics"]["accuracy"] < (fitted.predict(features) == answers).mean()
    assert MEASURED_FILE in BundlePlace(workspace.bundle_dir).get(report.digest).files


def test_a_wrong_value_is_refused_by_name(published: Published, table: tuple[pd.DataFrame, "pd.Series[Any]"]) -> None:
    with pytest.raises(RequestRefused, match="row 0: age is -1"):
        published.predict(table[0].head(1).assign(age=-1))


def test_the_project_trains_anew_and_the_cell_can_be_run_again(
    workspace: Workspace, published: Published, fitted: Any, table: tuple[pd.DataFrame, "pd.Series[Any]"]
) -> None:
    registered = treadle.train("stays", seed=7, workspace=workspace)
    assert registered.version == published.version + 1
    again = treadle.publish(fitted, *table, name="stays", serve=True, workspace=workspace)
    assert (again.version, again.address) == (published.version + 2, published.address)
    assert (again.predict(table[0]) == fitted.predict(table[0])).all()
    code = find(workspace, "stays").folder / "model.py"
    code.write_text(code.read_text(encoding="utf-8") + "\n# mine\n", encoding="utf-8")
    with pytest.raises(ProjectEdited, match=r"model\.py"):
        treadle.publish(fitted, *table, name="stays", workspace=workspace)


def test_arrays_and_logistic_regressions_can_be_published(workspace: Workspace) -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(200, 3)).round(3)
    answers = np.where(features[:, 0] + draw.normal(0, 0.3, 200) > 0, "up", "down")
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, answers)
    handle = treadle.publish(fitted, features, answers, name="direction", serve=True, positive="up", workspace=workspace)
    assert (handle.predict(features) == fitted.predict(features)).all()
    assert handle.predict_proba(features) == pytest.approx(fitted.predict_proba(features), abs=1e-5)


def test_the_notebook_runs_in_a_fresh_folder_and_says_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREADLE_PORT", "0")
    book = nbformat.read(NOTEBOOK, 4)
    said = [_texts(cell) for cell in book.cells]
    nbclient.NotebookClient(book, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert [_texts(cell) for cell in book.cells] == said
    assert "(True, True)" in [text for texts in said for text in texts]


def _texts(cell: Any) -> list[str]:
    """Return what a cell gave as its value."""
    return [output["data"]["text/plain"] for output in cell.get("outputs", []) if output["output_type"] == "execute_result"]
