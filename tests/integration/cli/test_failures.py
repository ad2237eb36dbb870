"""What goes wrong around a command is a sentence that names the thing and the next step."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.shell import failed, treadle
from treadle.settings import MARKER, Workspace

pytestmark = pytest.mark.integration

COMMAND = [sys.executable, "-m", "treadle.cli.main"]


def test_outside_a_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed(treadle("status"), "No workspace", str(tmp_path), "treadle.toml", "TREADLE_WORKSPACE")


@pytest.mark.parametrize("command", ["train", "evaluate", "gate", "promote", "rollback", "predict", "simulate", "drift", "why"])
def test_an_unknown_project(workspace: Workspace, command: str) -> None:
    failed(
        treadle(command, "nobody"), "There is no project 'nobody': choose from churn, house_prices, iris.", "`treadle init nobody --from"
    )


def test_a_version_that_never_was(workspace: Workspace) -> None:
    for command in ("evaluate", "gate", "promote"):
        failed(treadle(command, "iris", "--version", 3), "iris has no version 3", "`treadle train iris`")


@pytest.mark.parametrize("command", ["drift", "rollback"])
def test_a_model_that_was_never_deployed(workspace: Workspace, command: str) -> None:
    failed(treadle(command, "iris"), "iris", "`treadle promote iris`")


def test_no_service(workspace: Workspace, free_port: int) -> None:
    (workspace.root / MARKER).write_text(f"port = {free_port}\noffline = true\n")
    for command in (["predict"], ["label", "setosa", "--entity", "e"], ["simulate"]):
        failed(treadle(command[0], "iris", *command[1:]), f"http://127.0.0.1:{free_port}", "`treadle serve`")


def test_a_row_file_that_is_no_row_file(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    failed(treadle("predict", "iris", "--file", tmp_path / "rows.csv"), str(tmp_path / "rows.csv"), "no column petal_length", "--raw")
    (tmp_path / "rows.json").write_text("a,b\n1,2\n")
    failed(treadle("predict", "iris", tmp_path / "rows.json"), str(tmp_path / "rows.json"), "it is not JSON", "Give a CSV")
    failed(treadle("predict", "iris", "--file", tmp_path), str(tmp_path), "is a directory", "Give a CSV")


def test_a_file_that_is_named_twice_or_not_at_all(workspace: Workspace, tmp_path: Path) -> None:
    assert treadle("predict", "iris", "a.csv", "--file", "b.csv").code == 2
    assert treadle("predict", "iris", "--out", "answers.csv").code == 2
    assert treadle("labels", "import", "a.csv", "--model", "iris", "--column", "churned").code == 2


def test_labels_without_a_file_or_with_a_bad_line(workspace: Workspace, tmp_path: Path) -> None:
    failed(treadle("labels", "import", tmp_path / "no.csv", "--model", "iris"), "no.csv", "no such file")
    (tmp_path / "truth.csv").write_text("prediction_id,species\np-1,rose\n")
    said = failed(treadle("labels", "import", tmp_path / "truth.csv", "--model", "iris"), "line 2: species is 'rose'", "--skip-bad")
    assert "setosa, versicolor, virginica" in said


def test_a_setting_that_does_not_exist(workspace: Workspace) -> None:
    (workspace.root / MARKER).write_text("prot = 8000\n")
    failed(treadle("status"), "unknown setting prot: choose from port", "docs/reference/settings.md")


def test_a_contract_that_is_none(workspace: Workspace) -> None:
    (workspace.projects_dir / "iris" / "model.yaml").write_text("name: [\n")
    failed(treadle("evaluate", "iris"), "model.yaml", "treadle schema")


def test_one_broken_contract_hides_no_other_model(workspace: Workspace) -> None:
    (workspace.projects_dir / "iris" / "model.yaml").write_text("name: [\n")
    told = {one["model"]: one["loop"] for one in treadle("status", "--json").json}
    assert told["iris"].startswith("TROUBLE")
    assert "treadle train churn" in told["churn"]


@pytest.mark.parametrize("content", [b"this is no database, " * 500, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_corrupt_store(workspace: Workspace, content: bytes) -> None:
    workspace.home.mkdir()
    (workspace.home / "state.db").write_bytes(content)
    for command in (["status"], ["why", "iris"], ["train", "iris"], ["loop", "--once"]):
        failed(treadle(*command), "state.db", "treadle restore BACKUP")


def test_a_corrupt_mlflow(workspace: Workspace) -> None:
    workspace.home.mkdir()
    (workspace.home / "mlflow.db").write_bytes(b"this is no database, " * 500)
    for command in ("evaluate", "gate", "train"):
        failed(treadle(command, "iris"), "mlflow.db", "TREADLE_TRACKING_URL")


@pytest.mark.parametrize("home", ["/proc/treadle", "file/below"])
@pytest.mark.parametrize("command", [["status"], ["train", "iris"], ["serve", "--port", "0"], ["loop", "--once"]])
def test_a_home_that_cannot_be_written(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, home: str, command: list[str]) -> None:
    (workspace.root / "file").write_text("")
    monkeypatch.setenv("TREADLE_HOME", home)
    failed(treadle(*command), home, "TREADLE_")


@pytest.mark.parametrize("command", [["schema"], ["status"]])
def test_a_reader_who_has_gone_is_no_failure_to_talk_about(workspace: Workspace, command: list[str]) -> None:
    process = subprocess.Popen([*COMMAND, *command], cwd=workspace.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) in {0, 1}
