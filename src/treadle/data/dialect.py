"""How a text file holds a table: its encoding, what parts its columns, and its decimal mark."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}

CELL_LENGTH = 10_000_000
"""Longest cell that is read; the csv module alone would stop at 131,072 characters."""

SAMPLE_ROWS = 200
"""How many lines decide about the delimiter and the decimal mark."""

SAMPLE_BYTES = 1 << 16
"""How many bytes tell UTF-16 without a mark, and what is no text, from other encodings."""

CHUNK = 1 << 20

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DECIMAL = re.compile(r"\s*[-+]?[\d.\s\u00a0']*\d?([.,])\d+\s*")


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written: ``encoding`` is the name of a Python codec, ``decimal`` is "." or ","; ``delimiter`` None: one column only."""

    encoding: str
    delimiter: str | None
    decimal: str


def dialect_of(path: Path) -> Dialect | None:
    """Return how a text is written; None where it is no text, or in an encoding that cannot be told.

    The delimiter is the one that parts most lines into as many columns as the first has, and of several such the one that finds most.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as content:
        encoding = _encoding(content)
    if encoding is None:
        return None
    with path.open(encoding=encoding, newline="") as file:
        start = "".join(islice(file, SAMPLE_ROWS))
    samples = {delimiter: _rows(start, delimiter) for delimiter in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda one: _evenness(samples[one]))
    if not _evenness(samples[delimiter])[0]:
        return Dialect(encoding, None, ".")
    return Dialect(encoding, delimiter, "." if delimiter == "," else _decimal(samples[delimiter][1:]))


def _encoding(content: BinaryIO) -> str | None:
    """Return the codec of a file: by its mark, else UTF-8 if all of it is that, else what Western offices write.

    That is cp1252, which holds every letter of Latin-1 and the euro sign as well.
    """
    start = content.read(SAMPLE_BYTES)
    marked = next((codec for mark, codec in _MARKS if start.startswith(mark)), None)
    content.seek(0)
    return next((codec for codec in ([marked] if marked else _candidates(start)) if _decodes(content, codec)), None)


def _candidates(start: bytes) -> Iterable[str]:
    if start.count(0) > len(start) / 4:
        # Every other byte of a Western text in UTF-16 is zero; which one tells the order.
        return ["utf-16-be" if start[::2].count(0) > start[1::2].count(0) else "utf-16-le"]
    return ["utf-8", "cp1252"] if 0 not in start else []


def _decodes(content: BinaryIO, codec: str) -> bool:
    decoder = codecs.getincrementaldecoder(codec)()
    content.seek(0)
    try:
        for chunk in iter(lambda: content.read(CHUNK), b""):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _rows(text: str, delimiter: str) -> list[list[str]]:
    csv.field_size_limit(CELL_LENGTH)
    try:
        return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    except csv.Error:
        return []


def _evenness(rows: list[list[str]]) -> tuple[float, int]:
    """Return how well a delimiter fits: the share of rows as wide as the header, where that has columns at all, and the width."""
    width = len(rows[0]) if rows else 0
    if width < 2:
        return 0.0, width
    return sum(len(row) == width for row in rows) / len(rows), width


def _decimal(rows: list[list[str]]) -> str:
    marks = Counter(found[1] for row in rows for cell in row if (found := _DECIMAL.fullmatch(cell)))
    return "," if marks[","] > marks["."] else "."
