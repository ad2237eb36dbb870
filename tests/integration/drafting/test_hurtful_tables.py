"""Tables that hurt go from a file to a champion, with no change to what was drafted."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

import treadle
from tests.integration.drafting.conftest import Lived
from treadle.bundle.place import BundlePlace
from treadle.data.sources import fetch
from treadle.engine.encode import Encoder, example
from treadle.engine.session import Engine
from treadle.projects import find
from treadle.settings import Settings, Workspace

pytestmark = pytest.mark.integration


def test_it_is_promoted_through_the_gate(lived: Lived) -> None:
    assert lived.verdict.passed, lived.verdict.reasons
    assert lived.deployment is not None
    assert lived.deployment.champion is not None
    assert lived.deployment.champion.digest == lived.registered.digest


def test_every_hurt_was_treated(lived: Lived) -> None:
    treated = {column.column: (column.name, column.treatment) for column in lived.drafted.columns}
    assert treated["Kunden-Nr."] == ("Kunden-Nr.", "entity")
    assert treated[" Alter "] == ("Alter", "integer")
    assert treated["Laufzeit (Jahre)"] == ("Laufzeit (Jahre)", "number")
    assert treated["Umsatz/Monat €"] == ("Umsatz/Monat €", "number")
    assert treated["Stadt"] == ("Stadt", "category")
    assert treated["Herkunftsort"] == ("Herkunftsort", "category")
    assert treated["Mahnung?"] == ("Mahnung?", "boolean")
    assert treated["Beitritt"] == ("Beitritt", "date")
    assert {name for name, (_, treatment) in treated.items() if treatment == "left out"} >= {
        "Mandant",
        "Postleitzahl",
        "E-Mail",
        "Bemerkung",
    }
    leak = "Kündigungsgrund" if lived.drafted.task == "binary" else "Jahreswert netto"
    assert treated[leak] == ("", "left out")
    assert any(warning.startswith(f"{leak}: It leaks the target") for warning in lived.drafted.warnings)


def test_what_matters_most_is_said(lived: Lived) -> None:
    said = " ".join(lived.drafted.assumptions)
    assert "cp1252, with semicolons and decimal commas" in said
    assert "15 rows have no" in said
    assert ("average_precision" in said) == (lived.drafted.task == "binary")
    assert lived.drafted.made_workspace == str(lived.workspace.root)


def test_the_values_are_those_of_the_file(lived: Lived) -> None:
    project = find(lived.workspace, lived.drafted.name)
    frame = fetch(project, lived.workspace, seed=1).frame
    assert len(frame) == lived.drafted.rows == 3985
    assert frame["Umsatz/Monat €"].mean() == pytest.approx(60, abs=3)
    assert frame["Beitritt"].dt.year.between(2015, 2024).all()
    assert frame["Mahnung?"].mean() == pytest.approx(0.2, abs=0.03)
    assert frame["Stadt"].nunique() == 50


def test_the_example_is_one_that_the_champion_answers(lived: Lived) -> None:
    bundle = BundlePlace(lived.workspace.bundle_dir).get(lived.registered.digest)
    matrix, _ = Encoder(bundle.interface).matrix(example(bundle.interface))
    assert np.isfinite(Engine(bundle).run(matrix)).all()


def test_the_code_is_as_a_formatter_and_a_linter_want_it(lived: Lived) -> None:
    code = lived.workspace.projects_dir / lived.drafted.name / "model.py"
    ruff = shutil.which("ruff", path=str(sys.prefix) + "/bin") or "ruff"
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run([ruff, *command, "--isolated", "--no-cache", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_the_same_table_gives_the_same_files(lived: Lived, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = lived.workspace.projects_dir / lived.drafted.name
    again = Workspace(tmp_path_factory.mktemp("again"), Settings())
    table = next(lived.workspace.root.glob("*.csv"))
    target = "gekündigt" if lived.drafted.task == "binary" else "Jahreswert (€)"
    shutil.copy(table, again.root)
    treadle.init(lived.drafted.name, again.root / table.name, target, workspace=again)
    for file in folder.glob("*.*"):
        assert (again.projects_dir / lived.drafted.name / file.name).read_bytes() == file.read_bytes()
