"""The workspace with versions, snapshots and roles of the tests of retention, to be carried away."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.recovery.house import House
from tests.integration.retention.conftest import Shop, stocked, stocked_home
from tests.integration.retraining.conftest import empty_mlflow, night, workspace

__all__ = ["empty_mlflow", "night", "stocked", "stocked_home", "workspace"]


@pytest.fixture
def house(stocked: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("TREADLE_WORKSPACE", str(stocked.night.workspace.root))
    made = House(stocked, tmp_path)
    yield made
    made.writer.close()
