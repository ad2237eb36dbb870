"""Rules over several columns, such as ``total_charges >= monthly_charges``: a small language, read strictly and never run as Python.

A rule is a condition on one row:

    total_charges >= monthly_charges or tenure_months == 0
    `Price (EUR)` > 0 and (discount is null or discount <= 0.5 * `Price (EUR)`)
    0 <= end - start <= 31                         two dates are days apart
    plan in ("basic", "plus") and not trial

Columns are plain names, or any text between backticks. Texts, and days as "2026-11-21", stand between quotes.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from itertools import pairwise
from typing import Literal

from treadle.spec.interface import Interface

Kind = Literal["number", "text", "truth", "day"]

COMPARISONS = ("<=", ">=", "==", "!=", "<", ">")
_SAME = {"=": "==", "<>": "!="}
_WORDS = ("and", "or", "not", "is", "in", "null", "missing", "true", "false", "abs")
_FEATURE: Mapping[str, Kind] = {"number": "number", "integer": "number", "category": "text", "boolean": "truth", "date": "day"}
_LEAF: Mapping[str, Kind] = {"number": "number", "text": "text", "truth": "truth"}
_NOUN: Mapping[Kind, str] = {"number": "a number", "text": "a text", "truth": "true or false", "day": "a date"}

LONGEST = 500
"""Most characters of a rule: what is longer is several rules."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|`(?P<column>[^`]+)`"
    r"|\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'"
    r"|(?P<word>[^\W\d]\w*)"
    r"|(?P<sign><=|>=|==|!=|<>|[-+*/()<>=,]))"
)


@dataclass(frozen=True)
class Node:
    """A part of a rule: ``op`` is column, number, text, truth or day with a ``value``, or an operator over ``parts``."""

    op: str
    value: str | float | bool | date | None = None
    parts: tuple["Node", ...] = ()


def parse(text: str) -> Node:
    """Read a rule.

    Raises:
        ValueError: it is not one; the message says where it stops making sense.
    """
    if len(text) > LONGEST:
        raise ValueError(f"it has {len(text)} characters; more than {LONGEST} are several rules")
    reader = _Reader(list(_tokens(text)))
    node = reader.either()
    reader.require_end()
    return node


def columns_of(node: Node) -> tuple[str, ...]:
    """Return the columns that a rule names, in the order of their first mention."""
    own = [str(node.value)] if node.op == "column" else []
    return tuple(dict.fromkeys([*own, *(name for part in node.parts for name in columns_of(part))]))


def checked(node: Node, kinds: Mapping[str, Kind]) -> Node:
    """Return the rule with its texts read as days where they stand beside days.

    ``kinds`` says what each column of the contract holds.

    Raises:
        ValueError: a column is unknown, or values are put together that do not go together.
    """
    for name in columns_of(node):
        if name not in kinds:
            close = get_close_matches(name, kinds, 3, 0.5) or sorted(kinds)
            raise ValueError(f"there is no column {name!r}; choose from {', '.join(close)}")
    typed, kind = _typed(node, kinds)
    if kind != "truth":
        raise ValueError(f"it gives {_NOUN[kind]}, where a condition is needed, such as a >= b")
    return typed


def kinds_of(interface: Interface) -> dict[str, Kind]:
    """Return what each column of the contract holds, as a rule sees it."""
    kinds: dict[str, Kind] = {feature.name: _FEATURE[feature.type] for feature in interface.features}
    kinds[interface.target.name] = "text" if interface.target.classes else "number"
    if interface.entity is not None:
        kinds[interface.entity] = "text"
    if interface.time is not None:
        kinds[interface.time] = "day"
    return kinds


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"it stops making sense at {text[at:].strip()[:20]!r}")
        kind = str(match.lastgroup)
        word = match[kind]
        if kind == "word" and word.lower() in _WORDS:
            yield "keyword", word.lower()
        else:
            yield {"word": "column", "double": "text", "single": "text"}.get(kind, kind), _SAME.get(word, word) if kind == "sign" else word
        at = match.end()


class _Reader:
    """Reads tokens from left to right; each method reads one level of the grammar, the loosest first."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def either(self) -> Node:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Node("or", parts=tuple(parts))

    def require_end(self) -> None:
        if self._at < len(self._tokens):
            raise ValueError(f"it should end before {self._tokens[self._at][1]!r}")

    def _both(self) -> Node:
        parts = [self._negated()]
        while self._take("and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else Node("and", parts=tuple(parts))

    def _negated(self) -> Node:
        return Node("not", parts=(self._negated(),)) if self._take("not") else self._compared()

    def _compared(self) -> Node:
        first = self._sum()
        if self._take("is"):
            negated = self._take("not")
            if not (self._take("null") or self._take("missing")):
                raise ValueError("after 'is' stands null or not null")
            found = Node("is null", parts=(first,))
            return Node("not", parts=(found,)) if negated else found
        if self._peek() == "not" or self._peek() == "in":
            negated = self._take("not")
            self._demand("in")
            found = Node("in", parts=(first, *self._listed()))
            return Node("not", parts=(found,)) if negated else found
        operands, signs = [first], []
        while self._peek() in COMPARISONS:
            signs.append(self._next()[1])
            operands.append(self._sum())
        links = [Node(sign, parts=pair) for sign, pair in zip(signs, pairwise(operands), strict=True)]
        return first if not links else links[0] if len(links) == 1 else Node("and", parts=tuple(links))

    def _listed(self) -> tuple[Node, ...]:
        self._demand("(")
        values = [self._sum()]
        while self._take(","):
            values.append(self._sum())
        self._demand(")")
        return tuple(values)

    def _sum(self) -> Node:
        node = self._product()
        while self._peek() in ("+", "-"):
            node = Node(self._next()[1], parts=(node, self._product()))
        return node

    def _product(self) -> Node:
        node = self._signed()
        while self._peek() in ("*", "/"):
            node = Node(self._next()[1], parts=(node, self._signed()))
        return node

    def _signed(self) -> Node:
        return Node("negative", parts=(self._signed(),)) if self._take("-") else self._single()

    def _single(self) -> Node:
        if self._take("abs"):
            self._demand("(")
            inner = self._sum()
            self._demand(")")
            return Node("abs", parts=(inner,))
        if self._take("("):
            inner = self.either()
            self._demand(")")
            return inner
        kind, word = self._next()
        match kind, word:
            case "number", _:
                return Node("number", float(word))
            case (("column" | "text"), _):
                return Node(kind, word)
            case "keyword", ("true" | "false"):
                return Node("truth", word == "true")
        raise ValueError(f"a column or a value should stand where {word!r} is")

    def _peek(self) -> str:
        """Return the next keyword or sign; nothing where a column or a value is next."""
        kind, word = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        return word if kind in {"keyword", "sign"} else ""

    def _take(self, word: str) -> bool:
        found = self._peek() == word
        self._at += found
        return found

    def _demand(self, word: str) -> None:
        if not self._take(word):
            raise ValueError(f"{word!r} is missing {f'before {self._next()[1]!r}' if self._at < len(self._tokens) else 'at the end'}")

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise ValueError("it ends where a column or a value should stand")
        self._at += 1
        return self._tokens[self._at - 1]


def _typed(node: Node, kinds: Mapping[str, Kind]) -> tuple[Node, Kind]:
    if not node.parts:
        return node, kinds[str(node.value)] if node.op == "column" else _LEAF[node.op]
    typed = [_typed(part, kinds) for part in node.parts]
    if node.op == "is null":
        return node, "truth"
    if node.op in {"and", "or", "not"}:
        return Node(node.op, parts=tuple(_wanted(part, "truth", node.op) for part in typed)), "truth"
    if any(kind == "day" for _, kind in typed):
        typed = [_as_day(*part) for part in typed]
    parts, held = tuple(part for part, _ in typed), [kind for _, kind in typed]
    made = Node(node.op, parts=parts)
    if node.op == "in" or node.op in COMPARISONS:
        _require_comparable(node.op, held)
        return made, "truth"
    return made, _of_arithmetic(node.op, held)


def _wanted(part: tuple[Node, Kind], kind: Kind, where: str) -> Node:
    if part[1] != kind:
        raise ValueError(f"{where!r} takes {_NOUN[kind]}, not {_NOUN[part[1]]}")
    return part[0]


def _as_day(node: Node, kind: Kind) -> tuple[Node, Kind]:
    if node.op != "text":
        return node, kind
    try:
        return Node("day", date.fromisoformat(str(node.value))), "day"
    except ValueError as error:
        raise ValueError(f'{node.value!r} is no day such as "2026-11-21"') from error


def _require_comparable(op: str, held: list[Kind]) -> None:
    if len(set(held)) > 1:
        raise ValueError(f"{op!r} compares {' with '.join(_NOUN[kind] for kind in dict.fromkeys(held))}")
    if held[0] == "truth" and op in {"<", ">", "<=", ">="}:
        raise ValueError(f"{op!r} cannot order true and false")


def _of_arithmetic(op: str, held: list[Kind]) -> Kind:
    """Return what arithmetic gives: numbers, days apart, or a day moved by so many days."""
    if set(held) == {"number"}:
        return "number"
    if op == "-" and held == ["day", "day"]:
        return "number"
    if (op == "+" and sorted(held) == ["day", "number"]) or (op == "-" and held == ["day", "number"]):
        return "day"
    said = {"negative": "'-'"}.get(op, repr(op))
    raise ValueError(f"{said} cannot be done with {' and '.join(_NOUN[kind] for kind in dict.fromkeys(held))}")
