"""An empty MLflow, and what every test here must not share with another: the session's database."""

from pathlib import Path

import pytest

from treadle.registry.tracking import Tracking
from treadle.settings import Settings, Workspace


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an MLflow database with its tables and nothing in them: to make them takes seconds."""
    workspace = Workspace(tmp_path_factory.mktemp("mlflow"), Settings())
    with Tracking(workspace).client():
        return workspace.home / "mlflow.db"
