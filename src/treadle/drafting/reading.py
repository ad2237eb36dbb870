"""Read a file without deciding anything about its values."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd
from pandas import DataFrame

from treadle.data.dialect import dialect_of
from treadle.drafting.asked import Asked
from treadle.errors import NoRows, NoTable

PARQUET = b"PAR1"
OTHER_FORMATS = {
    b"PK": ("it is an Excel workbook or another zip", "Save the sheet as CSV"),
    b"\x1f\x8b": ("it is packed with gzip", "Unpack it with `gunzip`"),
    b"\xd0\xcf\x11\xe0": ("it is an old Excel workbook", "Save the sheet as CSV"),
    b"<": ("it is a web page or XML", "Save the data themselves as CSV"),
    b"{": ("it is JSON", "Save it as CSV or Parquet"),
    b"[": ("it is JSON", "Save it as CSV or Parquet"),
}


@dataclass(frozen=True)
class Reading:
    """How a table is read: a CSV with its separator, encoding and header as it is written, a Parquet file, or rows from a database."""

    kind: Literal["csv", "parquet", "sql"]
    separator: str = ","
    encoding: str = "utf-8"
    header: tuple[str, ...] = ()


def read_file(path: Path, asked: Asked) -> tuple[DataFrame, Reading]:
    """Return the rows of a file, and how they were read.

    Raises:
        NoTable: it is no table.
        NoRows: it is empty.
    """
    content = path.read_bytes()
    if not content.strip():
        raise NoRows(asked.origin, "the file is empty", asked.command())
    if content.startswith(PARQUET):
        return _parquet(path, asked), Reading("parquet")
    for magic, (what, advice) in OTHER_FORMATS.items():
        if content.lstrip().startswith(magic):
            raise NoTable(asked.origin, what, f"{advice}, then type `{asked.command(origin='FILE')}`")
    reading = _reading(path, asked)
    frame = _csv(path, reading, asked)
    return frame, replace(reading, header=_header(path, reading))


def _reading(path: Path, asked: Asked) -> Reading:
    dialect = dialect_of(path)
    if dialect is None:
        advice = f"If it is a text, save it as UTF-8 (`iconv -f ENCODING -t UTF-8 {asked.origin} > FILE`)"
        reason = "it is no text, or in an encoding that is neither UTF-8, UTF-16 nor Latin-1"
        raise NoTable(asked.origin, reason, f"{advice}, then type `{asked.command(origin='FILE')}`")
    if dialect.delimiter is None:
        reason = "no comma, semicolon, tab or pipe parts its lines into columns"
        raise NoTable(asked.origin, reason, f"Save it with commas, then type `{asked.command()}`")
    return Reading("csv", dialect.delimiter, dialect.encoding)


def _csv(path: Path, reading: Reading, asked: Asked) -> DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of lines with more fields than the header
            frame = pd.read_csv(
                path, sep=reading.separator, encoding=reading.encoding, dtype=str, keep_default_na=False, na_values=[], index_col=False
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise NoTable(asked.origin, reason, f"Mend that line, then type `{asked.command()}`") from error
    if frame.empty:
        raise NoRows(asked.origin, "the file has a header and nothing below it", asked.command())
    if all(_is_number(name) for name in frame.columns):
        reason = "its first line holds numbers where the names of the columns belong"
        raise NoTable(asked.origin, reason, f"Put a line of names above, then type `{asked.command()}`")
    return frame.fillna("")


def _header(path: Path, reading: Reading) -> tuple[str, ...]:
    """Return the names of the columns as they are written: pandas numbers those that stand twice."""
    first = pd.read_csv(path, sep=reading.separator, encoding=reading.encoding, dtype=str, keep_default_na=False, header=None, nrows=1)
    return tuple(first.iloc[0])


def _parquet(path: Path, asked: Asked) -> DataFrame:
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise NoTable(asked.origin, str(error).splitlines()[0], f"Write it anew, then type `{asked.command()}`") from error
    if frame.empty:
        raise NoRows(asked.origin, "it has columns only", asked.command())
    return frame.rename(columns=str)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
