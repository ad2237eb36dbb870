"""How a text file holds a table."""

import pytest

from treadle.drafting.dialect import encoding_of, separator_of


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
        (b"\x89PNG\r\n\x1a\n\x00\x00\x01", None),
        (b"a,b\n\x81\x8d\x8f,2\n", None),
        (b"a,b\n1,2\n" + b"x" * 5000 + b"\0" * 10, None),
    ],
)
def test_the_encoding_is_found(content: bytes, encoding: str | None) -> None:
    assert encoding_of(content) == encoding


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1;2\n", ";"),
        ("a\tb\n1\t2\n", "\t"),
        ("a|b\n1|2\n", "|"),
        ("a;b;c\n1,5;2,5;x\n3,5;4,5;y\n", ";"),  # decimal commas part each line into three as well
        ('a,b\n"x;y;z",2\n"p;q;r",4\n', ","),
        ('a,b\n"one\ntwo, three",2\n', ","),  # a line break in quotes is none
        ("a\n1\n2\n", None),
        ("", None),
        ('a,b\n"never closed' + "x" * 140_000, None),
    ],
)
def test_the_separator_is_the_one_that_parts_lines_alike(text: str, separator: str | None) -> None:
    assert separator_of(text) == separator
