"""How a text file holds a table."""

from pathlib import Path

import pytest

from treadle.data.dialect import Dialect, dialect_of


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"a,b\n1,2\n", "utf-8"),
        ("größe,b\n1,2\n".encode(), "utf-8"),
        ("größe,b\n1,2\n".encode("utf-8-sig"), "utf-8-sig"),
        ("größe;b\n1;2\n".encode("latin-1"), "cp1252"),
        ("preis €;b\n1;2\n".encode("cp1252"), "cp1252"),
        ("größe,b\n1,2\n".encode("utf-16"), "utf-16"),
        ("größe,b\n1,2\n".encode("utf-16-le"), "utf-16-le"),
        ("größe,b\n1,2\n".encode("utf-16-be"), "utf-16-be"),
    ],
)
def test_the_encoding_is_found(tmp_path: Path, content: bytes, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    found = dialect_of(tmp_path / "t.csv")
    assert found is not None
    assert found.encoding == encoding


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\x00\x00\x01", b"a,b\n\x81\x8d\x8f,2\n", b"a,b\n1,2\n" + b"x" * 5000 + b"\0" * 10])
def test_what_is_no_text_has_no_dialect(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    assert dialect_of(tmp_path / "t.csv") is None


@pytest.mark.parametrize(
    ("text", "delimiter", "decimal"),
    [
        ("a,b\n1.5,2\n", ",", "."),
        ("a;b\n1,5;2,25\n", ";", ","),
        ("a;b\n1.5;2\n", ";", "."),
        ("a\tb\n1,5\tx, y\n", "\t", ","),
        ("a|b\nx, y|z; w\n", "|", "."),
        ('a;b\n"1;2";x,y\n"3;4";x,y\n', ";", "."),
        ("a,b;c\n1,2;3\n4,5;6\n7;8\n", ";", ","),
        ("a;b;c\n1,5;2,5;x\n3,5;4,5;y\n", ";", ","),  # decimal commas part each line into three as well
        ('a,b\n"x;y;z",2\n"p;q;r",4\n', ",", "."),
        ('a,b\n"one\ntwo, three",2\n', ",", "."),  # a line break in quotes is none
        ("only\n1\n2\n", None, "."),
        ("", None, "."),
    ],
)
def test_the_delimiter_is_the_one_that_parts_lines_alike(tmp_path: Path, text: str, delimiter: str | None, decimal: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert dialect_of(tmp_path / "t.csv") == Dialect("utf-8", delimiter, decimal)
