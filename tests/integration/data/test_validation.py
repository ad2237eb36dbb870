"""`treadle validate` as a user types it."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import treadle as api
from tests.shell import treadle
from treadle.data.validate import check
from treadle.errors import DataUnreadable
from treadle.projects import find
from treadle.settings import Workspace

pytestmark = pytest.mark.integration

RULE = """  data:
    rules:
      - rule: total_charges >= monthly_charges or tenure_months == 0
        severity: error
        reason: The sum of all bills holds the latest one.
"""


@pytest.fixture
def raw(mirror: Path, tmp_path: Path) -> Path:
    """Return a copy of the Telco file."""
    return Path(shutil.copy(mirror / "telco_churn.csv", tmp_path / "november.csv"))


def test_the_data_of_the_contract_pass_and_their_report_is_kept(workspace: Workspace) -> None:
    done = treadle("validate", "iris")
    assert done.code == 0
    assert "iris: the 150 rows keep the contract; 1 warning." in done.out
    (folder,) = (workspace.home / "reports" / "validation" / "iris").iterdir()
    assert f"Report: {folder / 'report.html'}" in done.out
    assert json.loads((folder / "report.json").read_text())["source"] == "library scikit-learn"


def test_a_bad_file_is_refused_with_what_to_paste(workspace: Workspace, raw: Path) -> None:
    raw.write_text(raw.read_text().replace("One year", "Eighteen months"))
    done = treadle("validate", "churn", "--file", raw)
    assert done.code == 3
    assert "error  contract: 1473 of 7043 values are not among Month-to-month, One year, Two year, such as 'Eighteen months'" in done.out
    assert "|         - Eighteen months" in done.out
    assert treadle("validate", "churn", "--file", raw, "--json").json["passed"] is False


def test_rules_of_the_contract_are_held_against_a_file(workspace: Workspace, raw: Path) -> None:
    path = workspace.projects_dir / "churn" / "model.yaml"
    path.write_text(path.read_text().replace("policy:\n", f"policy:\n{RULE}", 1))
    assert treadle("validate", "churn", "--file", raw).code == 0
    text = pd.read_csv(raw)
    text.loc[7, "TotalCharges"] = "0.5"
    text.to_csv(raw, index=False)
    done = treadle("validate", "churn", "--file", raw)
    assert done.code == 3
    assert "1 of 7043 rows break this rule, such as total_charges 0.5, monthly_charges 29.75, tenure_months 10 (row 7)" in done.out
    assert "The sum of all bills holds the latest one." in done.out


def test_a_renamed_column_is_refused_with_the_line_that_mends_it(workspace: Workspace, raw: Path) -> None:
    code = workspace.projects_dir / "churn" / "model.py"
    code.write_text(code.read_text().replace('"MonthlyCharges": "monthly_charges"', '"MonthlyCharges": "Charges monthly"'))
    done = treadle("validate", "churn", "--file", raw)
    assert done.code == 3
    assert "monthly_charges: there is no such column; Charges monthly looks like it" in done.out
    assert 'frame = frame.rename(columns={"Charges monthly": "monthly_charges"})' in done.out


def test_both_reference_projects_pass(workspace: Workspace, mirror: Path) -> None:
    for name, path in (("iris", None), ("churn", mirror / "telco_churn.csv")):
        project = find(workspace, name)
        assert check(project.contract, project.hook("load")(path)).passed


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--file", "nowhere.csv"], 1, "The data from the file nowhere.csv cannot be read: there is no such file."),
        (["--snapshot", "abc"], 1, "iris has no snapshot 'abc'"),
        (["--file", "a.csv", "--snapshot", "abc"], 2, "give one of them"),
    ],
)
def test_what_cannot_be_checked_is_named(workspace: Workspace, arguments: list[str], code: int, said: str) -> None:
    done = treadle("validate", "iris", *arguments)
    assert done.code == code
    assert said in done.err


def test_load_must_return_a_table(workspace: Workspace) -> None:
    code = workspace.projects_dir / "iris" / "model.py"
    code.write_text(code.read_text() + "\n\ndef load(_path):\n    return [1, 2]\n")
    with pytest.raises(DataUnreadable, match=r"load\(\) returned list, not a DataFrame"):
        api.validate("iris", workspace=workspace)
