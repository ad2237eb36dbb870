"""Files as offices, databases and scripts write them."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treadle.data.files import Row, columns_of, csv_dialect, rows_of
from treadle.errors import TableUnreadable

TOWNS = 'name;größe;note\nKöln;1,5;"a;b"\nMünchen;12.345,25;\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
def test_the_encoding_is_found(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "towns.csv"
    path.write_bytes(TOWNS.encode(encoding))

    assert columns_of(path) == ["name", "größe", "note"]
    assert [row.cells for row in rows_of(path)] == [
        {"name": "Köln", "größe": "1,5", "note": "a;b"},
        {"name": "München", "größe": "12.345,25", "note": None},
    ]


def test_one_letter_far_down_decides_the_encoding(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 400_000 + b"3,\xe9\n")
    assert csv_dialect(path).encoding == "cp1252"
    assert list(rows_of(path))[-1] == Row("line 400002", {"a": "3", "b": "é"})


def test_a_row_is_named_by_the_line_on_which_it_begins(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a,b\n"two\nlines",1\n\n3,4\n5\n6,7,8\n')
    assert list(rows_of(tmp_path / "t.csv")) == [
        Row("line 2", {"a": "two\nlines", "b": "1"}),
        Row("line 5", {"a": "3", "b": "4"}),
        Row("line 6", {"a": "5"}, "the header has 2 cells, this line has 1"),
        Row("line 7", {"a": "6", "b": "7"}, "the header has 2 cells, this line has 3"),
    ]


def test_parquet_json_and_json_lines_give_the_same_rows(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"id": "a", "value": 1.5}, {"id": "b", "value": None}]
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    pd.DataFrame(rows).to_parquet(tmp_path / "nameless", engine="pyarrow")
    (tmp_path / "t.json").write_text(json.dumps(rows))
    (tmp_path / "rows.json").write_text(json.dumps({"rows": rows}))
    lines = "\n".join(map(json.dumps, rows))
    (tmp_path / "t.jsonl").write_text(lines)
    (tmp_path / "lines.json").write_text(lines)
    for name in ("t.parquet", "nameless", "t.json", "rows.json", "t.jsonl", "lines.json"):
        assert [row.cells for row in rows_of(tmp_path / name)] == rows, name
        assert columns_of(tmp_path / name) == ["id", "value"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.csv", b"", "it is empty"),
        ("t.csv", b" \n", "it is empty"),
        ("t.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x01", "it is no text"),
        ("t.csv", b"a,a\n1,2\n", "two columns are called 'a'"),
        ("t.json", b"{", "it is not JSON"),
        ("t.json", b'"text"', "neither a row nor a list of rows"),
        ("t.json", b'[{"a": NaN}]', "JSON has no NaN"),
        ("t.parquet", b"a,b\n1,2\n", "it is no Parquet file"),
        ("t.csv", None, "no such file"),
        ("t.parquet", None, "no such file"),
    ],
)
def test_a_file_that_holds_no_rows_is_named_with_the_reason(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TableUnreadable, match=reason):
        list(rows_of(tmp_path / name))


def test_a_line_that_is_no_json_object_is_told_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n\n{\n[1]\n')
    first, second, third = rows_of(tmp_path / "t.jsonl")
    assert (first, second.at, third) == (Row("line 1", {"a": 1}), "line 3", Row("line 4", {}, "it is no object with a value per column"))
    assert "not JSON" in second.trouble


letters = st.characters(codec="utf-8", exclude_characters="\ufeff", exclude_categories=["Cc", "Zs"])
cells = st.text(letters | st.just(";"), min_size=1, max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=5), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_what_is_written_is_read(tmp_path: Path, rows: list[list[str]], encoding: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=";").writerows([["first", "second", "third"], *rows])
    (tmp_path / "t.csv").write_bytes(text.getvalue().encode(encoding))
    assert [list(row.cells.values()) for row in rows_of(tmp_path / "t.csv")] == [[cell.strip() for cell in row] for row in rows]
