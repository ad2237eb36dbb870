"""Texts and lists as YAML that reads back as what they are. Pure."""

import json
import re
import textwrap
from collections.abc import Iterator, Sequence

import yaml

WIDTH = 118

_PLAIN = re.compile(r"[^\W\d_]([\w .()/+%€$²³°-]*[\w.()/+%€$²³°])?")


def scalar(value: object) -> str:
    """Return a value as a YAML scalar, in quotes only where it would be taken for something else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | int):
        return f"{value:.0f}" if value % 1 == 0 and abs(value) < 1e15 else f"{value:.12g}"
    text = str(value)
    plain = _PLAIN.fullmatch(text) is not None and yaml.safe_load(text) == text
    return text if plain else visible(json.dumps(text, ensure_ascii=False))


def visible(text: str) -> str:
    """Return a text on one line: what is no visible character as its escape, which YAML and Python read alike."""
    return "".join(letter if letter.isprintable() else _escape(ord(letter)) for letter in text)


def _escape(point: int) -> str:
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def listing(key: str, values: Sequence[object], indent: int) -> Iterator[str]:
    """Yield the lines of a key with a list, broken where it gets too long."""
    whole = f"{' ' * indent}{key}: [{', '.join(map(scalar, values))}]"
    if len(whole) <= WIDTH:
        yield whole
        return
    yield f"{' ' * indent}{key}:"
    yield from (f"{' ' * (indent + 2)}- {scalar(value)}" for value in values)


def comment(text: str, indent: int) -> Iterator[str]:
    """Yield a sentence as lines of comment. YAML ends a comment at more characters than textwrap knows: none of them is left."""
    yield from textwrap.wrap(visible(text), WIDTH, initial_indent=" " * indent + "# ", subsequent_indent=" " * indent + "# ")
