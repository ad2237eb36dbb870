"""How a text file holds a table: its encoding and its separator. Pure: bytes or text in."""

import codecs
import csv
import io
from collections.abc import Iterable

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}

HEAD = 8192
"""Bytes in which a file shows whether it is text."""

SAMPLE = 200_000
"""Characters from which the separator is found."""

_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def encoding_of(content: bytes) -> str | None:
    """Return the encoding of a text as Python names it; None where it is no text, or in an encoding that cannot be told.

    What is not UTF-8 is taken for cp1252, which holds every letter of Latin-1 and the euro sign as well.
    """
    return next((name for name in _candidates(content) if _decodes(content, name)), None)


def _candidates(content: bytes) -> Iterable[str]:
    marked = next((name for bom, name in _BOMS.items() if content.startswith(bom)), None)
    if marked is not None:
        return [marked]
    head = content[:HEAD]
    if head.count(0) > len(head) / 4:
        return ["utf-16-be" if head[::2].count(0) > head[1::2].count(0) else "utf-16-le"]
    return ["utf-8", "cp1252"] if 0 not in head else []


def _decodes(content: bytes, name: str) -> bool:
    try:
        content.decode(name)
    except UnicodeDecodeError:
        return False
    return True


def separator_of(text: str) -> str | None:
    """Return what separates the fields of a table; None where nothing does, so that there is one column only.

    It is the one that parts most lines into as many fields as the first line has, and of several such the one that finds most fields.
    """
    found = {separator: _regularity(text[:SAMPLE], separator, cut=len(text) > SAMPLE) for separator in SEPARATORS}
    best = max(found, key=lambda separator: found[separator])
    return best if found[best] > (0.0, 0) else None


def _regularity(sample: str, separator: str, *, cut: bool) -> tuple[float, int]:
    """Return the share of lines with as many fields as the first, and that number; nothing where it is one."""
    try:
        lines = [fields for fields in csv.reader(io.StringIO(sample, newline=""), delimiter=separator) if fields]
    except csv.Error:
        return 0.0, 0
    fields = len(lines[0]) if lines else 0
    below = [len(line) for line in (lines[1:-1] if cut else lines[1:])]
    return (round(below.count(fields) / max(1, len(below)), 2), fields) if fields > 1 else (0.0, 0)
