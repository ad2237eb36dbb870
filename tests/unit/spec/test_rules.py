"""Cross-column rules: what can be said, and how a rule that makes no sense is refused."""

import re
from datetime import date
from typing import Any

import pytest

from treadle.spec.rules import Kind, Node, checked, columns_of, parse

KINDS: dict[str, Kind] = {
    "total": "number",
    "monthly": "number",
    "Price (EUR)": "number",
    "plan": "text",
    "trial": "truth",
    "start": "day",
    "end": "day",
    "preis_über": "number",
}


def shown(node: Node) -> Any:
    """Return a tree as nested tuples."""
    return node.value if not node.parts else (node.op, *map(shown, node.parts))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("total >= monthly", (">=", "total", "monthly")),
        ("total > 1 or total < 2 and not trial", ("or", (">", "total", 1.0), ("and", ("<", "total", 2.0), ("not", "trial")))),
        ("(total > 1 or total < 2) AND trial", ("and", ("or", (">", "total", 1.0), ("<", "total", 2.0)), "trial")),
        ("1 - 2 - 3 * 4 / -total = 5", ("==", ("-", ("-", 1.0, 2.0), ("/", ("*", 3.0, 4.0), ("negative", "total"))), 5.0)),
        ("0 <= total <= 1e3", ("and", ("<=", 0.0, "total"), ("<=", "total", 1000.0))),
        ("`Price (EUR)` > .5", (">", "Price (EUR)", 0.5)),
        ("preis_über <> 0", ("!=", "preis_über", 0.0)),
        ("total is null", ("is null", "total")),
        ("not total is not missing", ("not", ("not", ("is null", "total")))),
        ("plan in ('basic', \"plus\")", ("in", "plan", "basic", "plus")),
        ("plan not in ('basic')", ("not", ("in", "plan", "basic"))),
        ("abs(total - monthly) < 1", ("<", ("abs", ("-", "total", "monthly")), 1.0)),
        ("trial == false", ("==", "trial", False)),
        ("start <= '2026-11-21'", ("<=", "start", date(2026, 11, 21))),
        ("end - start <= 31", ("<=", ("-", "end", "start"), 31.0)),
        ("end <= start + 31", ("<=", "end", ("+", "start", 31.0))),
    ],
)
def test_a_rule_is_read_as_it_is_meant(text: str, tree: Any) -> None:
    assert shown(checked(parse(text), KINDS)) == tree


def test_the_columns_of_a_rule_are_found() -> None:
    assert columns_of(parse("total > 1 and (`Price (EUR)` is null or total > monthly)")) == ("total", "Price (EUR)", "monthly")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it ends where a column or a value should stand"),
        ("total >=", "it ends where"),
        ("total >= ) monthly", "should stand where ')' is"),
        ("total >= monthly)", "it should end before ')'"),
        ("(total >= monthly", "')' is missing at the end"),
        ("total monthly", "it should end before 'monthly'"),
        ("plan in 'basic'", "'(' is missing before 'basic'"),
        ("total is 3", "after 'is' stands null or not null"),
        ("total >= $5", "it stops making sense at '$5'"),
        ("__import__('os').system('rm -rf /') == 0", "it stops making sense at"),
        ("total.__class__ == 1", "it stops making sense at '.__class__"),
        ("[x for x in total]", "it stops making sense at '[x"),
        ("total > 1 " * 60, "more than 500 are several rules"),
    ],
)
def test_a_rule_that_cannot_be_read_says_where(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("totla > 1", "there is no column 'totla'; choose from total"),
        ("total + 1", "it gives a number, where a condition is needed"),
        ("total and trial", "'and' takes true or false, not a number"),
        ("plan > 3", "'>' compares a text with a number"),
        ("plan + 1 > 3", "'+' cannot be done with a text and a number"),
        ("-plan == 3", "'-' cannot be done with a text"),
        ("trial < true", "'<' cannot order true and false"),
        ("start > 'yesterday'", "'yesterday' is no day such as"),
        ("start + end > 3", "'+' cannot be done with a date"),
        ("plan in (1, 2)", "'in' compares a text with a number"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        checked(parse(text), KINDS)
