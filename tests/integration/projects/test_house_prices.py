"""House prices: the census where there is a mirror, the made-up coast where there is none, and the guide that shows how it was written."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pandas import DataFrame

import treadle
from tests.integration.projects.conftest import Bench
from treadle.data.sources import rows_digest
from treadle.data.validate import check
from treadle.settings import Workspace
from treadle.spec import MirrorSource

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def houses(bench: Callable[..., Bench]) -> Bench:
    """Return the bench of house prices."""
    return bench("house_prices")


@pytest.fixture
def census(houses: Bench, mirror: Path) -> DataFrame:
    """Return the block groups of the census."""
    frame: DataFrame = houses.project.hook("load")(mirror / "california_housing.csv")
    return frame


def test_the_census_is_the_one_that_the_contract_names_and_keeps_it(houses: Bench, census: DataFrame) -> None:
    named = next(source for source in houses.project.contract.data if isinstance(source, MirrorSource))
    assert rows_digest(census) == named.rows_digest
    assert len(census) == 20_640
    assert int(census["total_bedrooms"].isna().sum()) == 207
    assert check(houses.project.contract, census).problems == ()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_made_up_coast_keeps_the_contract_and_is_about_as_dear(houses: Bench, seed: int) -> None:
    made = houses.project.hook("synthesize")(4000, seed)
    assert check(houses.project.contract, made).problems == ()
    assert made.equals(houses.project.hook("synthesize")(4000, seed))
    assert 170_000 < made["median_house_value"].mean() < 250_000
    assert np.corrcoef(made["median_income"], made["median_house_value"])[0, 1] > 0.5


@pytest.mark.timeout(300)
def test_a_version_of_made_up_rows_passes_the_gate_and_says_that_they_are(workspace: Workspace) -> None:
    treadle.train("house_prices", workspace=workspace)
    verdict, deployment = treadle.promote("house_prices", workspace=workspace)
    assert deployment is not None, verdict.reasons
    assert treadle.evaluate("house_prices", workspace=workspace).card["data"]["simulated"] is True


@pytest.mark.timeout(300)
def test_a_version_of_the_census_passes_the_gate(workspace: Workspace, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREADLE_DATA_MIRROR", str(mirror))
    place = Workspace.find(workspace.root)
    treadle.train("house_prices", workspace=place)
    verdict = treadle.gate("house_prices", workspace=place)
    assert verdict.passed, verdict.reasons
    assert treadle.evaluate("house_prices", workspace=place).card["metrics"]["r2"] > 0.8


def test_the_guide_shows_what_was_changed_in_the_draft(mirror: Path) -> None:
    command = [sys.executable, "scripts/drafted.py", str(mirror), "--check"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
