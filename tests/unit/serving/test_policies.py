"""The serving part of the policies: read once per change, and kept while a file is broken."""

import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests import small_bundles
from treadle import projects
from treadle.serving import policies
from treadle.serving.policies import Policies
from treadle.settings import MARKER, Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / MARKER).write_text("", encoding="utf-8")
    found = Workspace.find(tmp_path)
    (found.projects_dir / "churn").mkdir(parents=True)
    edit(found, "model.yaml", contract())
    return found


def contract(**serving: Any) -> str:
    interface = small_bundles.INTERFACE.model_dump(mode="json")
    return json.dumps({"name": "churn", "data": [{"kind": "simulated"}], "interface": interface, "policy": {"serving": serving}})


def edit(workspace: Workspace, name: str, text: str) -> None:
    """Write a file at a time of its own: two edits may come within one tick of the file system's clock."""
    path = workspace.projects_dir / "churn" / name
    at = path.stat().st_mtime_ns + 1_000_000 if path.exists() else 0
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(at, at))


def test_a_model_without_a_project_here_has_none(workspace: Workspace) -> None:
    assert list(Policies(workspace).of(["churn", "elsewhere"])) == ["churn"]


def test_a_file_is_read_once_per_change_and_a_broken_one_changes_nothing(workspace: Workspace) -> None:
    known = Policies(workspace)
    with patch.object(policies, "find", side_effect=projects.find) as reading:
        assert [known.of(["churn"])["churn"].queue for _ in range(3)] == [64] * 3
        edit(workspace, "model.yaml", contract(queue=2))
        assert [known.of(["churn"])["churn"].queue for _ in range(3)] == [2] * 3
        edit(workspace, "model.yaml", "model: [")
        assert [known.of(["churn"])["churn"].queue for _ in range(3)] == [2] * 3
        edit(workspace, "model.yaml", contract())
        assert known.of(["churn"])["churn"].queue == 64
    assert reading.call_count == 4


def test_an_overlay_is_laid_over(workspace: Workspace) -> None:
    edit(workspace, "policy.strict.yaml", "serving: {deadline: 250ms}\n")
    strict = Workspace(workspace.root, workspace.settings.model_copy(update={"overlay": "strict"}))
    assert Policies(strict).of(["churn"])["churn"].deadline == 0.25
