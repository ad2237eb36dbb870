"""An estimator that a function of a file makes becomes a project that trains."""

import re
from pathlib import Path

import pytest
import yaml

import treadle
from treadle.errors import FunctionUnusable, NotExportable
from treadle.projects import find
from treadle.settings import Workspace

MINE = """
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler


def model():
    prepare = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["city"]), remainder="passthrough")
    return make_pipeline(prepare, GradientBoostingClassifier(n_estimators=10))


def with_rows():
    draw = np.random.default_rng(0)
    X = pd.DataFrame({"age": draw.integers(18, 90, 300), "city": draw.choice(["Ulm", "Bonn"], 300)})
    return model(), X, pd.Series(np.where(X["age"] + draw.normal(0, 5, 300) > 50, "old", "young"), name="kind")


def with_lambda():
    own = make_pipeline(FunctionTransformer(lambda values: values * 2), GradientBoostingClassifier())
    return make_pipeline("passthrough", own), *with_rows()[1:]


def neighbours():
    return make_pipeline(StandardScaler(), KNeighborsClassifier())


def number():
    return 3
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    (tmp_path / "treadle.toml").touch()
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    rows = [
        f"{20 + index % 60},{('Ulm', 'Bonn', 'Jena')[index % 3]},{'yes' if 20 + index % 60 + index % 7 > 50 else 'no'}"
        for index in range(300)
    ]
    (tmp_path / "t.csv").write_text("age,city,stays\n" + "\n".join(rows) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return Workspace.find(tmp_path)


@pytest.mark.parametrize(("function", "table"), [("with_rows", {}), ("model", {"origin": "t.csv", "target": "stays"})])
def test_the_project_loads_and_builds_what_the_function_makes(workspace: Workspace, function: str, table: dict[str, str]) -> None:
    adopted = treadle.adopt(f"mine.py:{function}", "mine", workspace=workspace, **table)
    project = find(workspace, "mine")
    assert project.contract.interface.preprocessing.input == "columns"
    built = project.hook("build")(9)
    assert built.get_params()["gradientboostingclassifier__random_state"] == 9
    source = workspace.root / project.contract.data[0].path  # type: ignore[union-attr]
    frame = project.hook("load")(source)
    assert {"age", "city"} <= set(frame.columns)
    built.fit(frame[["age", "city"]], frame[project.contract.interface.target.name])
    assert (Path(adopted.folder) / "mine.py").is_file()


@pytest.mark.parametrize(
    ("named", "said", "fix"),
    [
        ("mine.py:number", "returns a int", "Return the estimator"),
        ("mine.py:model", "without rows", "--from FILE --target COLUMN"),
        ("mine.py:nope", "it has model, neighbours, number, with_lambda, with_rows", "treadle adopt mine.py:function mine"),
        ("gone.py:model", "no file gone.py", "with the path of the file"),
        ("mine.py", "does not name a function", "treadle adopt FILE.py:function mine"),
    ],
)
def test_what_cannot_be_adopted_is_named_with_the_next_step(workspace: Workspace, named: str, said: str, fix: str) -> None:
    with pytest.raises(FunctionUnusable, match=said) as caught:
        treadle.adopt(named, "mine", workspace=workspace)
    assert fix in caught.value.fix
    assert not (workspace.projects_dir / "mine").exists()


@pytest.mark.parametrize(
    ("function", "said", "fix"),
    [("with_lambda", "no graph can be made of a lambda", r"in load\(\)"), ("neighbours", "KNeighborsClassifier", "Use RandomForest")],
)
def test_a_step_that_can_never_be_exported_is_refused_at_once(workspace: Workspace, function: str, said: str, fix: str) -> None:
    with pytest.raises(NotExportable, match=said) as caught:
        treadle.adopt(f"mine.py:{function}", "mine", origin="t.csv", target="stays", workspace=workspace)
    assert re.search(fix, caught.value.fix)
    assert not (workspace.projects_dir / "mine").exists()


def test_the_contract_has_the_policy_of_a_draft(workspace: Workspace) -> None:
    treadle.adopt("mine.py:with_rows", "mine", workspace=workspace)
    treadle.init("drafted", "t.csv", "stays", workspace=workspace)
    texts = [(workspace.projects_dir / name / "model.yaml").read_text(encoding="utf-8") for name in ("mine", "drafted")]
    mine, drafted = (yaml.safe_load(text) for text in texts)
    assert mine["policy"].keys() == drafted["policy"].keys()
    assert mine["policy"]["gate"] == drafted["policy"]["gate"]
    assert "notebook" not in texts[0]
