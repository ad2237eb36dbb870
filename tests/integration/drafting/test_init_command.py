"""The command as a newcomer types it: what it shows, what it writes, and how each mistake ends."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.shell import failed, treadle
from treadle.data.sources import fetch
from treadle.projects import find
from treadle.settings import Workspace

pytestmark = pytest.mark.integration


def contract(place: Path, name: str = "stays") -> dict:
    content: dict = yaml.safe_load((place / "projects" / name / "model.yaml").read_text(encoding="utf-8"))
    return content


def rows(place: Path, name: str = "stays") -> pd.DataFrame:
    workspace = Workspace.find(place)
    return fetch(find(workspace, name), workspace, seed=1).frame


def test_it_shows_each_column_the_assumptions_and_what_to_type_next(place: Path) -> None:
    done = treadle("init", "stays", "--from", "rows.csv", "--target", "left")
    assert done.code == 0, done.err
    for part in ("left", "entity", "category", "integer", "Assumed:", "Written: projects/stays/model.yaml", "treadle train stays"):
        assert part in done.out
    assert contract(place)["data"] == [{"kind": "file", "path": "rows.csv"}]
    assert len(rows(place)) == 200


def test_a_script_gets_json(place: Path) -> None:
    told = treadle("init", "stays", "--from", "rows.csv", "--guess-target", "--json").json
    assert (told["task"], told["target"], told["rows"]) == ("binary", "left", 200)
    assert {column["column"]: column["treatment"] for column in told["columns"]} == {
        "left": "target",
        "id": "entity",
        "plan": "category",
        "months": "integer",
    }


def test_an_empty_folder_becomes_a_workspace_and_that_is_said(empty: Path) -> None:
    (empty / "rows.tsv").write_text(
        "\n".join(["x\ty", *(f"{number % 7}\t{'ab'[number % 3 == 0]}" for number in range(90))]), encoding="utf-8"
    )
    done = treadle("init", "stays", "--from", "rows.tsv", "--target", "y")
    assert f"{empty} had no treadle.toml: it is a workspace now." in done.out
    assert (empty / "treadle.toml").is_file()


def test_a_project_is_never_written_over(place: Path) -> None:
    treadle("init", "stays", "--from", "rows.csv", "--target", "left")
    before = (place / "projects/stays/model.yaml").read_bytes()
    failed(
        treadle("init", "stays", "--from", "other.csv", "--target", "left"),
        "There is a project 'stays' already",
        "`treadle init stays_2 --from other.csv --target left`",
    )
    assert (place / "projects/stays/model.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "sentence", "next_step"),
    [
        (b"", "file.csv has no rows: the file is empty", "`treadle init stays --from file.csv --target left`"),
        (b"id,left\n", "a header and nothing below it", "treadle init stays"),
        (b"1,2\n3,4\n", "its first line holds numbers", "Put a line of names above"),
        (b"left\nyes\nno\n", "no comma, semicolon, tab or pipe", "Save it with commas"),
        (b"a,left\n1,yes\n1,2,3\n", "Expected 2 fields in line 3, saw 3", "Mend that line"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "it is no text", "iconv -f ENCODING -t UTF-8"),
        (b"a,left\n\x81\x8d,yes\n", "neither UTF-8, UTF-16 nor Latin-1", "iconv"),
        (b'{"left": 1}', "it is JSON", "Save it as CSV or Parquet"),
        (b"<html></html>", "it is a web page", "Save the data themselves"),
        (b"PK\x03\x04", "an Excel workbook", "Save the sheet as CSV"),
        (b"PAR1nonsense", "cannot be read as a table", "Write it anew"),
        (b"a,left\n" + b"1,yes\n2,no\n" * 5, "only 10 rows", "Bring more rows"),
    ],
)
def test_what_is_no_table_ends_in_a_sentence_and_a_next_step(place: Path, content: bytes, sentence: str, next_step: str) -> None:
    (place / "file.csv").write_bytes(content)
    failed(treadle("init", "stays", "--from", "file.csv", "--target", "left"), sentence, next_step)
    assert not (place / "projects").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence", "next_step"),
    [
        (["stays", "--target", "Left"], "did you mean 'left'?", "`treadle init stays --from rows.csv --target left`"),
        (
            ["stays", "--target", "left", "--target", "plan"],
            "2 are named: left, plan",
            "`treadle init stays_1 --from rows.csv --target left`",
        ),
        (["stays"], "Say which column is to be predicted; there are id, plan, months, left", "--guess-target"),
        (
            ["Does it stay?", "--target", "left"],
            "cannot be called 'Does it stay?'",
            "`treadle init does_it_stay --from rows.csv --target left`",
        ),
        (["2nd", "--target", "left"], "cannot be called '2nd'", "`treadle init model_2nd --from"),
        (["stays", "--target", "id"], "id cannot be predicted as it stands", "--target COLUMN"),
    ],
)
def test_each_slip_ends_in_the_command_to_type(place: Path, arguments: list[str], sentence: str, next_step: str) -> None:
    failed(treadle("init", *arguments, "--from", "rows.csv"), sentence, next_step)


def test_a_file_that_is_not_there_is_met_with_the_nearest_one(place: Path) -> None:
    failed(treadle("init", "stays", "--from", "rwos.csv", "--target", "left"), "there is no such file", "--from rows.csv --target left")
    failed(treadle("init", "stays", "--from", ".", "--target", "left"), "it is a folder", "treadle init stays --from other.csv")


def test_a_file_of_the_mirror_is_named_as_one(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mirror").mkdir()
    (place / "rows.csv").rename(tmp_path / "mirror" / "rows.csv")
    monkeypatch.setenv("TREADLE_DATA_MIRROR", str(tmp_path / "mirror"))
    treadle("init", "stays", "--from", tmp_path / "mirror" / "rows.csv", "--target", "left")
    assert contract(place)["data"] == [{"kind": "mirror", "file": "rows.csv"}]
    assert len(rows(place)) == 200


@pytest.fixture
def site(place: Path) -> Iterator[str]:
    """Yield the address of a server of the workspace's files."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_behind_a_url_is_kept_for_the_training(place: Path, site: str) -> None:
    done = treadle("init", "stays", "--from", f"{site}/rows.csv", "--target", "left")
    assert done.code == 0, done.err
    assert contract(place)["data"] == [{"kind": "download", "url": f"{site}/rows.csv"}]
    (place / "rows.csv").unlink()
    assert len(rows(place)) == 200
    failed(treadle("init", "more", "--from", f"{site}/nothing.csv", "--target", "left"), "404", "treadle init more")
    assert len(list((place / ".treadle" / "downloads").iterdir())) == 1


def test_offline_downloads_nothing(place: Path, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREADLE_OFFLINE", "true")
    failed(
        treadle("init", "stays", "--from", f"{site}/rows.csv", "--target", "left"),
        "forbids every download",
        "TREADLE_OFFLINE=false treadle",
    )


@pytest.fixture
def database(place: Path) -> Path:
    """Return a file of SQLite with the rows in the table people."""
    with sqlite3.connect(place / "crm.db") as conn:
        pd.read_csv(place / "rows.csv").to_sql("people", conn, index=False)
    conn.close()
    return place / "crm.db"


@pytest.mark.parametrize("origin", ["crm.db", "sqlite:///crm.db"])
def test_a_table_of_a_database_is_read_by_its_name(place: Path, database: Path, origin: str) -> None:
    failed(
        treadle("init", "stays", "--from", origin, "--target", "left"),
        "say which table: choose from people",
        "--table people --target left",
    )
    failed(
        treadle("init", "stays", "--from", origin, "--target", "left", "--table", "peple"),
        "no table 'peple'",
        "--table people --target left",
    )
    done = treadle("init", "stays", "--from", origin, "--table", "people", "--target", "left")
    assert done.code == 0, done.err
    assert contract(place)["data"] == [{"kind": "table", "url": "sqlite:///crm.db", "table": "people"}]
    assert len(rows(place)) == 200


def test_a_password_is_never_written(place: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    from sqlalchemy import create_engine, make_url

    # The throwaway server trusts everybody, so that any password opens it.
    secret = make_url(postgres_url).set(password="hunter2").render_as_string(hide_password=False)
    engine = create_engine(make_url(secret).set(drivername="postgresql+psycopg"))
    with engine.begin() as conn:
        pd.read_csv(place / "rows.csv").to_sql("people", conn, index=False, if_exists="replace")
    engine.dispose()
    done = treadle("init", "stays", "--from", secret, "--table", "people", "--target", "left")
    assert done.code == 0, done.err
    assert "export STAYS_URL=" in done.out
    written = "".join(file.read_text(encoding="utf-8") for file in (place / "projects" / "stays").iterdir())
    assert "hunter2" not in written + done.out + done.err
    assert contract(place)["data"] == [{"kind": "table", "variable": "STAYS_URL", "table": "people"}]
    monkeypatch.setitem(os.environ, "STAYS_URL", secret)
    assert len(rows(place)) == 200
    away = f"postgresql://me:hunter2@127.0.0.1:{free_port}/crm"
    assert "hunter2" not in failed(treadle("init", "more", "--from", away, "--table", "people", "--target", "left"), "$MORE_URL")
