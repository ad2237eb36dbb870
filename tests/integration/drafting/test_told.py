"""What init and adopt say: what to type next, each word in its number, and a header that names a column twice."""

import random
from pathlib import Path

import pytest
import yaml

from tests.shell import treadle

pytestmark = pytest.mark.integration

MINE = """
from sklearn.linear_model import LogisticRegression


def model():
    return LogisticRegression()
"""
COMMANDS = ["check stays", "train stays", "evaluate stays", "promote stays", "up"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "treadle.toml").touch()
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    draw = random.Random(3)
    rows = [f"{draw.random():.3f},{draw.choice(['yes', 'no'])},{draw.randint(0, 30)}" for _ in range(200)]
    (tmp_path / "one.csv").write_text("\n".join(["a,Returned?", *(row.rpartition(",")[0] for row in rows)]), encoding="utf-8")
    (tmp_path / "twice.csv").write_text("\n".join(["left,left,months", *rows]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_next_commands_are_those_of_the_readme(place: Path) -> None:
    said = treadle("init", "stays", "--from", "one.csv", "--target", "Returned?").out
    assert said.endswith("\nNext:\n" + "".join(f"  treadle {command}\n" for command in COMMANDS))


def test_adopt_says_what_comes_next_once(place: Path) -> None:
    done = treadle("adopt", "mine.py:model", "stays", "--from", "one.csv", "--target", "Returned?")
    assert done.code == 0, done.err
    assert done.out.count("Next:") == 1
    assert " ".join(done.out.split()).endswith("Next: " + ", ".join(f"`treadle {command}`" for command in COMMANDS) + ".")


def test_one_column_is_no_columns_and_a_question_has_one_mark(place: Path) -> None:
    said = treadle("init", "stays", "--from", "one.csv", "--target", "Returned?").out
    assert "from 1 column and" in said
    contract = yaml.safe_load((place / "projects" / "stays" / "model.yaml").read_text(encoding="utf-8"))
    assert contract["description"] == "Which of two classes is Returned? Predicted from 1 column of one.csv."


def test_a_name_that_the_header_has_twice_is_said(place: Path) -> None:
    said = " ".join(treadle("init", "stays", "--from", "twice.csv", "--target", "left.1").out.split())
    assert "The header names 'left' twice: column 1, here 'left'; column 2, here 'left.1' (the target)." in said
