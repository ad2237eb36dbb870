"""Tables that hurt, drafted into projects, trained, gated and promoted once for all tests."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import treadle
from tests.hurtful_tables import classification, regression
from treadle.drafting.write import Drafted
from treadle.registry.tracking import Registered
from treadle.settings import MARKER, Workspace
from treadle.state.deployments import Deployment
from treadle.state.verdicts import Verdict

TABLES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "cancelled": (classification, "gekündigt"),
    "worth": (regression, "Jahreswert (€)"),
}


@dataclass(frozen=True)
class Lived:
    """A table that went from a file to a champion."""

    workspace: Workspace
    drafted: Drafted
    registered: Registered
    verdict: Verdict
    deployment: Deployment | None


@pytest.fixture(scope="session", params=sorted(TABLES))
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """Return each hurtful table's way to a champion, in a workspace of its own."""
    name: str = request.param
    root = tmp_path_factory.mktemp(name)
    make, target = TABLES[name]
    path = make(root / f"{name} (alt).csv")
    drafted = treadle.init(name, path, target, workspace=root)
    registered = treadle.train(name, workspace=root)
    verdict, deployment = treadle.promote(name, workspace=root)
    return Lived(Workspace.find(root), drafted, registered, verdict, deployment)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, in which commands are typed."""
    folder = tmp_path / "afternoon"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def place(empty: Path) -> Path:
    """Return a workspace with a small table, in which commands are typed."""
    (empty / MARKER).touch()
    rows = [
        "id,plan,months,left",
        *(f"c{number},{'abc'[number % 3]},{number % 37},{'yes' if number % 4 else 'no'}" for number in range(200)),
    ]
    (empty / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    shutil.copy(empty / "rows.csv", empty / "other.csv")
    return empty
