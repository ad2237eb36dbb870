"""To publish again keeps what people have decided: the policy half of model.yaml, and the consents that it asks for."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

import treadle
from treadle.errors import ConsentMissing, ContractInvalid, PublishRefused
from treadle.settings import Workspace

pytestmark = pytest.mark.integration

POLICY = """policy:
  # Two of us must agree.
  approval:
    people: 2

  gate:
    minimum: {roc_auc: 0.6}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "treadle.toml").touch()
    return Workspace.find(tmp_path)


def test_replacing_a_project_keeps_its_policy_and_asks_its_people(workspace: Workspace) -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(200, 2)).round(3)
    answers = np.where(features[:, 0] + draw.normal(0, 0.3, 200) > 0, "up", "down")
    fitted = LogisticRegression().fit(features, answers)
    treadle.publish(fitted, features, answers, name="direction", workspace=workspace)
    contract = workspace.projects_dir / "direction" / "model.yaml"
    contract.write_text(contract.read_text(encoding="utf-8") + POLICY + "\n# end\n", encoding="utf-8")

    other = LogisticRegression(C=0.5).fit(features, answers)
    with pytest.raises(ConsentMissing, match="people must agree"):
        treadle.publish(other, features, answers, name="direction", replace=True, workspace=workspace)
    text = contract.read_text(encoding="utf-8")
    assert POLICY in text
    assert yaml.safe_load(text)["policy"] == {"approval": {"people": 2}, "gate": {"minimum": {"roc_auc": 0.6}}}

    contract.write_text(text.replace("people: 2", "people: 0").replace("0.6}", "0.9999}"), encoding="utf-8")
    with pytest.raises(PublishRefused, match="roc_auc"):
        treadle.publish(other, features, answers, name="direction", replace=True, workspace=workspace)

    contract.write_text(text.replace("people: 2", "people: ["), encoding="utf-8")
    with pytest.raises(ContractInvalid):
        treadle.publish(other, features, answers, name="direction", replace=True, workspace=workspace)
    assert "people: [" in contract.read_text(encoding="utf-8")
