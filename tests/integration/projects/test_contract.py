"""Our own projects pass the suite that everybody's do."""

import shutil
from pathlib import Path

import pytest

from treadle.checking.case import Case
from treadle.checking.suite import CHECKS, Suite
from treadle.settings import Settings, Workspace

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).resolve().parents[3]
NAMES = sorted(path.parent.name for path in (REPOSITORY / "projects").glob("*/model.yaml"))

WARNED = {("iris", "validates"), ("house_prices", "validates")}
"""What may be warned of: one iris stands twice in Fisher's own table, and three districts have more households than people."""


@pytest.fixture(scope="module", params=NAMES)
def suite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Suite:
    """Return the suite of a project, on real data."""
    root = tmp_path_factory.mktemp("workspace")
    shutil.copytree(REPOSITORY / "projects", root / "projects", ignore=shutil.ignore_patterns("__pycache__"))
    return Suite(Case(Workspace(root, Settings(offline=True, data_mirror=mirror)), request.param))


@pytest.mark.parametrize("check", [check.name for check in CHECKS])
def test_the_contract_suite(suite: Suite, check: str) -> None:
    outcome = suite.outcome(check)
    allowed = {"ok", "warning"} if (suite.model, check) in WARNED else {"ok"}
    assert outcome.status in allowed, f"{outcome.reason}\n{outcome.fix}"
