"""Texts of strangers in a drafted model.yaml: each reads back as itself, and none leaves its comment."""

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from treadle.drafting.yaml_text import comment, listing, scalar

BREAKS = ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]


@given(st.text())
@example("\x7f")
@example("a\x81b")
@example("a\x85b")
@example("a\u2028b")
@example("\ufeff")
@example("\U0001f600")
def test_a_text_reads_back_as_itself(text: str) -> None:
    assert yaml.safe_load(f"key: {scalar(text)}  # why") == {"key": text}
    assert yaml.safe_load("\n".join(listing("key", [text] * 3, 0))) == {"key": [text] * 3}


@given(st.text(min_size=1), st.integers(0, 8))
def test_a_comment_stays_a_comment(text: str, indent: int) -> None:
    lines = list(comment(text, indent))
    assert all(line.startswith(" " * indent + "# ") and line.isprintable() for line in lines)
    assert yaml.safe_load("\n".join(["a: 1", *lines])) == {"a": 1}


@pytest.mark.parametrize("end", BREAKS)
def test_a_line_that_yaml_ends_elsewhere_adds_no_key(end: str) -> None:
    lines = comment(f"cst{end}data: [{{kind: file, path: evil.csv}}] #", 4)
    assert yaml.safe_load("\n".join(["data: []", *lines])) == {"data": []}
