"""Each check of the contract suite finds what it is there for, says why, and leaves out what stands on it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from treadle.checking.case import Case
from treadle.checking.outcome import Outcome
from treadle.checking.suite import Suite, check
from treadle.cli.main import app
from treadle.settings import MARKER, Workspace

pytestmark = pytest.mark.integration

CONTRACT = """\
name: tiny
description: Is it warm?
data: [{kind: bundled, library: numpy}]
interface:
  task: binary
  target: {name: warm, classes: ["no", "yes"]}
  features:
    - {name: degrees, type: number, min: -50, max: 60}
    - {name: sky, type: category, categories: [clear, grey], required: false}
    - {name: windy, type: boolean}
policy:
  owner: weather
  gate: {minimum: {roc_auc: 0.6}}
  card: {purpose: Tests., limitations: Made up., contact: weather@example.com}
"""

CODE = """\
import numpy as np
from pandas import DataFrame
from sklearn.linear_model import LogisticRegression


def load(_path):
    random = np.random.default_rng(0)
    degrees = random.normal(15, 10, 400).round(4)
    frame = DataFrame({"degrees": degrees, "sky": random.choice(["clear", "grey"], 400), "windy": random.random(400) < 0.3})
    frame.loc[random.random(400) < 0.1, "sky"] = None
    frame["warm"] = np.where(degrees + random.normal(0, 4, 400) > 18, "yes", "no")
    return frame


def build(seed):
    return LogisticRegression(random_state=seed)
"""

Write = Callable[..., Suite]


@pytest.fixture
def project(tmp_path: Path) -> Write:
    """Return a function that writes the tiny project, with texts of its two files replaced, and returns its suite."""

    def write(*changes: tuple[str, str]) -> Suite:
        folder = tmp_path / "projects" / "tiny"
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / MARKER).write_text("offline = true\n", encoding="utf-8")
        files = {"model.yaml": CONTRACT, "model.py": CODE}
        for old, new in changes:
            assert any(old in text for text in files.values())
            files = {name: text.replace(old, new) for name, text in files.items()}
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return Suite(Case(Workspace.find(tmp_path), "tiny"))

    return write


def by_status(suite: Suite) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for outcome in suite.checked().outcomes:
        found.setdefault(outcome.status, set()).add(outcome.name)
    return found


def refused(suite: Suite, name: str) -> Outcome:
    outcome = suite.outcome(name)
    assert outcome.status == "failed", outcome
    assert outcome.fix
    return outcome


def test_a_project_that_holds_passes_and_leaves_nothing_behind(project: Write, tmp_path: Path) -> None:
    suite = project()
    assert by_status(suite).keys() == {"ok"}, [one for one in suite.checked().outcomes if one.status != "ok"]
    assert suite.checked().passed
    assert [path.name for path in tmp_path.iterdir() if path.name != "projects"] == [MARKER]
    assert "a world is learned" in suite.outcome("simulates").reason


def test_a_contract_that_is_not_valid_is_named_and_all_else_is_skipped(project: Write) -> None:
    suite = project(("task: binary", "task: guess"))
    assert by_status(suite)["failed"] == {"contract"}
    assert len(by_status(suite)["skipped"]) == len(suite.checked().outcomes) - 1
    assert not suite.checked().passed
    assert suite.outcome("parity").reason == "it stands on 'exports'"


@pytest.mark.parametrize(
    ("old", "new", "name", "said"),
    [
        ("def build(seed)", "def made(seed)", "code", "no function build()"),
        ("import numpy as np", "import nunpy as np", "code", "nunpy"),
        ("    return frame", "    return frame / 0", "loads", "TypeError"),
        ('["clear", "grey"], 400', '["clear", "black"], 400', "validates", "'black'"),
        (
            "default_rng(0)",
            "default_rng(0)  # short\n    return DataFrame({'degrees': [1.0], 'sky': ['grey'], 'windy': [True]})",
            "validates",
            "warm",
        ),
        ("return LogisticRegression(random_state=seed)", "return None", "builds", "no fit"),
        ("LogisticRegression(random_state=seed)", "LINE", "builds", "the same object"),
        ("import LogisticRegression", "import Ridge as LogisticRegression", "builds", "predict_proba"),
        ("LogisticRegression(random_state=seed)", "LogisticRegression(C=-1)", "trains", "InvalidParameterError"),
        (
            "return LogisticRegression(random_state=seed)",
            "from sklearn.neighbors import KNeighborsClassifier\n    return KNeighborsClassifier()",
            "exports",
            "KNeighborsClassifier",
        ),
        (
            "return LogisticRegression(random_state=seed)",
            "from sklearn.ensemble import RandomForestClassifier\n    return RandomForestClassifier(10)",
            "same seed, same model",
            "two different graphs",
        ),
        ("def build(seed)", "def simulate(rows, seed):\n    return rows\n\n\ndef build(seed)", "simulates", "draw"),
    ],
)
def test_what_is_wrong_is_found_by_its_check(project: Write, old: str, new: str, name: str, said: str) -> None:
    made = [(old, new)] if new != "LINE" else [(old, "ONE"), ("def build", "ONE = LogisticRegression()\n\n\ndef build")]
    suite = project(*made)
    outcome = refused(suite, name)
    assert said in outcome.reason
    assert by_status(suite)["failed"] == {name}


@pytest.mark.parametrize(
    ("old", "new", "name", "said"),
    [
        ("  owner: weather\n", "", "card", "policy.owner"),
        (", min: -50, max: 60", "", "ranges", "degrees"),
        ("  gate: {minimum: {roc_auc: 0.6}}", "  gate: {}\n  labels: {expire: 1d}", "policy", "orphan labels expire after 1d"),
    ],
)
def test_what_is_only_odd_is_warned_of(project: Write, old: str, new: str, name: str, said: str) -> None:
    outcome = project((old, new)).outcome(name)
    assert outcome.status == "warning"
    assert said in outcome.reason
    assert outcome.fix


def test_numbers_that_float32_cannot_tell_apart_are_warned_of(project: Write) -> None:
    suite = project(("max: 60", "max: 900000000"), ("frame.loc[", 'frame["degrees"] = 800000000.0 + np.arange(400)\n    frame.loc['))
    outcome = suite.outcome("fits float32")
    assert outcome.status == "warning"
    assert outcome.reason.startswith("degrees: whole numbers past 16777216")


@pytest.mark.parametrize(
    ("draw", "name", "said"),
    [
        (
            "self.rows.sample(count, replace=True, random_state=1).assign(degrees=lambda f: f.degrees + 12)",
            "world before the shift",
            "drifted",
        ),
        ("self.rows.sample(count, replace=True, random_state=1)", "world after the shift", "the inputs look the same"),
        (
            "self.rows.sample(count, replace=True, random_state=1).assign(warm=lambda f: np.random.default_rng(2).choice(WARM, count))",
            "world before the shift",
            "on rows held out",
        ),
    ],
)
def test_a_world_that_breaks_its_promises_is_warned_of(project: Write, draw: str, name: str, said: str) -> None:
    world = (
        "WARM = ['no', 'yes']\n\n\nclass World:\n    def __init__(self, rows):\n        self.rows = rows\n\n"
        f"    def draw(self, count, *, shifted=False):\n        return {draw}\n\n\n"
        "def simulate(rows, seed):\n    return World(rows)\n\n\ndef build(seed)"
    )
    suite = project(("def build(seed)", world))
    assert said in suite.outcome(name).reason
    assert suite.outcome(name).status == ("warning" if "before" in name else suite.outcome(name).status)


def test_every_project_is_checked_where_none_is_named(project: Write, tmp_path: Path) -> None:
    project(("task: binary", "task: guess"))
    other = tmp_path / "projects" / "other"
    other.mkdir()
    (other / "model.yaml").write_text("name: other\n", encoding="utf-8")
    checked = check(Workspace.find(tmp_path))
    assert [(one.model, one.passed) for one in checked] == [("other", False), ("tiny", False)]


def test_the_command_shows_a_table_and_ends_with_3_when_something_is_wrong(
    project: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(('["clear", "grey"], 400', '["clear", "[black]"], 400'))
    monkeypatch.setenv("TREADLE_WORKSPACE", str(tmp_path))
    told = CliRunner().invoke(app, ["check", "tiny"])
    assert told.exit_code == 3, told.output
    assert "[black]" in told.stdout
    assert "→" in told.stdout
    found = json.loads(CliRunner().invoke(app, ["check", "--json"]).stdout)
    assert [(one["model"], one["passed"]) for one in found] == [("tiny", False)]
    assert {"name", "status", "reason", "fix"} == set(found[0]["outcomes"][0])


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=folder, timeout=240)


@pytest.mark.timeout(300)
def test_the_plugin_tests_each_check_beside_a_stranger_s_own_tests(project: Write, tmp_path: Path) -> None:
    project(("  owner: weather\n", ""), ("import LogisticRegression", "import Ridge as LogisticRegression"))
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n", encoding="utf-8")
    ours = ("pytest", "-p", "no:cacheprovider", "-p", "no:hydra_pytest", "-v")
    done = run(tmp_path, *ours, "--treadle=tiny")
    assert done.returncode == 1, done.stdout
    assert "treadle::tiny::builds FAILED" in done.stdout
    assert "no predict_proba" in done.stdout
    assert "treadle::tiny::parity SKIPPED" in done.stdout
    assert "tiny: card: not written yet: policy.owner" in done.stdout
    assert "test_own.py::test_own PASSED" in done.stdout


def test_the_plugin_is_inert_unless_it_is_asked(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "import sys\n\n\ndef test_own():\n"
        "    assert 'treadle.checking.plugin' in sys.modules\n    assert 'treadle.settings' not in sys.modules\n",
        encoding="utf-8",
    )
    ours = ("pytest", "-p", "no:cacheprovider", "-p", "no:hydra_pytest", "-q")
    assert "1 passed" in run(tmp_path, *ours).stdout
    (tmp_path / MARKER).write_text("", encoding="utf-8")
    wrong = run(tmp_path, *ours, "--treadle=tiny")
    assert wrong.returncode == 4
    assert "There is no project 'tiny'" in wrong.stderr


def test_the_plugin_imports_nothing_heavy() -> None:
    code = "import sys, treadle.checking.plugin; print(sorted({'numpy', 'pandas', 'sklearn', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
