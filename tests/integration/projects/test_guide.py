"""The project that docs/guides/project.md shows is a real one."""

import re
from collections.abc import Callable

import pytest

from tests.integration.projects.conftest import PROJECTS, Bench
from treadle import projects
from treadle.data.frame import target
from treadle.data.sources import fetch
from treadle.data.split import split
from treadle.data.validate import require_valid
from treadle.settings import Workspace
from treadle.training.metrics import measure

pytestmark = pytest.mark.integration

GUIDE = PROJECTS.parent / "docs" / "guides" / "project.md"


def test_the_project_of_the_guide_is_found_fetched_and_trained(workspace: Workspace) -> None:
    shown = dict(re.findall(r"```(yaml|python)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL))
    folder = workspace.projects_dir / "wine"
    folder.mkdir()
    (folder / "model.yaml").write_text(shown["yaml"], encoding="utf-8")
    (folder / "model.py").write_text(shown["python"], encoding="utf-8")
    wine = Bench(projects.find(workspace, "wine"))
    frame = fetch(wine.project, workspace, seed=42).frame
    assert require_valid(wine.project.contract, frame).rows == 178
    parted = split(wine.interface, frame, 42)
    holdout = frame.iloc[parted.holdout]
    model = wine.fit(frame.iloc[parted.train], 42)
    measured = measure(wine.interface, target(wine.interface, holdout), wine.scores(model, holdout))
    assert measured["f1_macro"] >= wine.project.contract.policy.gate.minimum["f1_macro"]


@pytest.mark.parametrize("overlay", ["", "demo"])
@pytest.mark.parametrize("name", ["churn", "iris"])
def test_a_reference_project_tells_people_what_it_is_for(bench: Callable[..., Bench], name: str, overlay: str) -> None:
    contract = bench(name, overlay).project.contract
    assert contract.name == name
    assert contract.policy.card.purpose
    assert contract.policy.card.limitations
    assert all(feature.description for feature in contract.interface.features)
