"""Sources of kind file and table: a real file, and real databases on SQLite and PostgreSQL."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas import DataFrame
from sqlalchemy import create_engine, text

from treadle.data.sources import fetch
from treadle.errors import DataDigestMismatch, DataUnavailable, DataUnreadable
from treadle.projects import Project
from treadle.settings import Settings, Workspace
from treadle.spec import Contract

pytestmark = pytest.mark.integration

ROWS = DataFrame({"id": [1, 2, 3], "x": [1.5, 2.5, 3.5], "y": ["a", "b", "a"]})
CODE = """
import pandas as pd

def load(raw):
    return raw if isinstance(raw, pd.DataFrame) else pd.read_csv(raw)
"""
INTERFACE = {"task": "binary", "target": {"name": "y", "classes": ["a", "b"]}, "features": [{"name": "x", "type": "number"}]}

Get = Callable[..., DataFrame]


@pytest.fixture
def get(tmp_path: Path) -> Get:
    """Return a function that fetches the rows of a source in a workspace under ``tmp_path``."""
    (tmp_path / "model.py").write_text(CODE, encoding="utf-8")

    def fetched(kind: str, **source: Any) -> DataFrame:
        contract = Contract.model_validate({"name": "letters", "data": [{"kind": kind, **source}], "interface": INTERFACE})
        return fetch(Project(tmp_path, contract), Workspace(tmp_path, Settings()), seed=1).frame

    return fetched


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    """Return a file of SQLite with the rows in the table letters, the last one first."""
    path = tmp_path / "letters.db"
    with sqlite3.connect(path) as conn:
        conn.execute("CREATE TABLE letters (id INTEGER, x REAL, y TEXT, PRIMARY KEY (id DESC))")
        conn.executemany("INSERT INTO letters VALUES (?, ?, ?)", list(ROWS[::-1].itertuples(index=False, name=None)))
    conn.close()
    return path


def test_a_file_is_named_from_the_workspace_or_absolutely(get: Get, tmp_path: Path) -> None:
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    pd.testing.assert_frame_equal(get("file", path="rows.csv"), ROWS)
    pd.testing.assert_frame_equal(get("file", path=str(tmp_path / "rows.csv")), ROWS)


def test_a_file_that_is_not_there_or_holds_other_rows(get: Get, tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match=f"file rows.csv: there is no {tmp_path}/rows.csv"):
        get("file", path="rows.csv")
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(DataDigestMismatch, match=r"file rows\.csv"):
        get("file", path="rows.csv", rows_digest="0" * 64)


def test_a_table_comes_in_the_order_of_its_key(get: Get, sqlite_file: Path) -> None:
    pd.testing.assert_frame_equal(get("table", url="sqlite:///letters.db", table="letters"), ROWS, check_dtype=False)


def test_a_query_is_asked_as_it_stands(get: Get, sqlite_file: Path) -> None:
    found = get("table", url=f"sqlite:///{sqlite_file}", query="SELECT x, y FROM letters WHERE y = 'a' ORDER BY x DESC")
    assert found["x"].tolist() == [3.5, 1.5]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"url": "sqlite:///nowhere.db", "table": "letters"}, "there is no such file"),
        ({"url": "sqlite:///letters.db", "table": "lettres"}, "it has no table 'lettres'; choose from letters"),
        ({"url": "sqlite:///letters.db", "query": "SELECT nothing FROM letters"}, 'near "nothing": syntax error|no such column'),
        ({"variable": "LETTERS_URL", "table": "letters"}, "the environment variable LETTERS_URL is not set"),
        ({"url": "oracle+nothing://host/letters", "table": "letters"}, "its driver is not installed"),
        ({"url": "letters", "table": "letters"}, "is no URL"),
    ],
)
def test_a_table_that_cannot_be_had_is_a_miss(get: Get, sqlite_file: Path, source: dict[str, str], reason: str) -> None:
    with pytest.raises(DataUnavailable, match=reason):
        get("table", **source)


def test_a_load_that_fails_on_a_table_is_told_so(get: Get, sqlite_file: Path, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def load(raw):\n    return raw['nothing']\n", encoding="utf-8")
    with pytest.raises(DataUnreadable, match=r"table letters of sqlite:///letters\.db"):
        get("table", url="sqlite:///letters.db", table="letters")


def test_a_table_of_any_database_by_a_variable(get: Get, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create_engine(store_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as conn:
        ROWS.to_sql("letters", conn, index=False)
        conn.execute(text("CREATE VIEW few AS SELECT x, y FROM letters WHERE x > 2"))
    engine.dispose()
    monkeypatch.setenv("LETTERS_URL", store_url)
    pd.testing.assert_frame_equal(get("table", variable="LETTERS_URL", table="letters"), ROWS, check_dtype=False)
    assert sorted(get("table", variable="LETTERS_URL", table="few")["x"]) == [2.5, 3.5]


def test_a_password_is_never_shown(get: Get, monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.setenv("LETTERS_URL", f"postgresql://me:secret@127.0.0.1:{free_port}/letters")
    with pytest.raises(DataUnavailable) as caught:
        get("table", variable="LETTERS_URL", table="letters")
    assert "secret" not in str(caught.value)
    assert "table letters of $LETTERS_URL" in str(caught.value)
