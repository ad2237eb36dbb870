"""What a version says of where it comes from."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.unit.training.conftest import draw
from treadle.data.split import Split
from treadle.projects import Project
from treadle.settings import Settings, Workspace
from treadle.spec import Contract, Interface, SimulatedSource
from treadle.training.fit import Rows
from treadle.training.lineage import Origin, lineage

ORIGIN = Origin("rows", "mirror file x.csv", simulated=False, snapshot="md5", run_id="r", turn_id="t", cut=12.5)


@pytest.fixture
def project(tmp_path: Path, regression: Interface) -> Project:
    (tmp_path / "model.py").write_text("")
    return Project(tmp_path, Contract(name="thing", data=(SimulatedSource(kind="simulated"),), interface=regression))


@pytest.fixture
def rows() -> Rows:
    matrix, value = draw(20)
    return Rows(matrix, value, Split(np.arange(15), np.arange(15, 20), ()))


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)


def test_lineage_names_rows_code_and_libraries(project: Project, rows: Rows, tmp_path: Path) -> None:
    found = lineage(project, Workspace(tmp_path, Settings()), ORIGIN, rows, seed=7)
    assert (found.data_digest, found.data_source, found.simulated, found.snapshot) == ("rows", "mirror file x.csv", False, "md5")
    assert (found.run_id, found.turn_id, found.cut, found.seed, found.rows) == ("r", "t", 12.5, 7, 20)
    assert found.interface_digest == project.contract.interface.digest
    assert {"numpy", "scikit-learn", "skl2onnx"} <= set(found.packages)


def test_code_and_holdout_have_digests(project: Project, rows: Rows, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, Settings())
    before = lineage(project, workspace, ORIGIN, rows, seed=7)
    (tmp_path / "model.py").write_text("changed = True")
    rows.matrix[-1, 0] += 1
    after = lineage(project, workspace, ORIGIN, rows, seed=7)
    assert before.code_digest != after.code_digest
    assert before.holdout_digest != after.holdout_digest


def test_the_commit_is_that_of_the_workspace_and_none_outside_git(
    project: Project, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    workspace = Workspace(tmp_path, Settings())
    assert lineage(project, workspace, ORIGIN, rows, seed=7).code_commit == ""
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "model.py")
    git(tmp_path, "commit", "-q", "-m", "one")
    clean = lineage(project, workspace, ORIGIN, rows, seed=7).code_commit
    assert len(clean) == 40
    (tmp_path / "model.py").write_text("changed = True")
    assert lineage(project, workspace, ORIGIN, rows, seed=7).code_commit == f"{clean}-dirty"


def test_a_machine_without_git_trains_all_the_same(project: Project, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lineage(project, Workspace(tmp_path, Settings()), ORIGIN, rows, seed=7).code_commit == ""
