"""A shell completes commands and the names of models."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from treadle.settings import Workspace


def completed(line: str) -> list[str]:
    words = line.split(" ")
    variables = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_TREADLE_COMPLETE": "complete_bash"}
    command = [str(Path(sys.executable).with_name("treadle"))]
    return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=True).stdout.split()


def test_commands_are_completed() -> None:
    assert "rollback" in completed("treadle roll")


def test_models_of_the_workspace_are_completed(workspace: Workspace) -> None:
    assert completed("treadle train ch") == ["churn"]


def test_where_there_is_no_workspace_nothing_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert completed("treadle train ch") == []
