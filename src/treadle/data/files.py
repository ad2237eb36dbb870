"""The rows of a file in any usual form: CSV of any dialect and encoding, Parquet, JSON, JSON lines.

Cells stay as the file has them (the texts of a CSV are texts), and each row knows where it stands, so that a refused one can be named.
"""

import csv
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from treadle.data.dialect import SAMPLE_BYTES, Dialect, dialect_of
from treadle.errors import TableUnreadable

BATCH_ROWS = 1000
_GROUPED = re.compile(r"[-+]?\d{1,3}(\.\d{3})+")


class Row(NamedTuple):
    """One row: ``at`` says where it begins, such as "line 7"; a missing cell is None; ``trouble`` says why it cannot be read, if so."""

    at: str
    cells: dict[str, Any]
    trouble: str = ""


class Problem(NamedTuple):
    """A refused cell: the column as the file calls it (empty: the whole line), its value, and what is allowed."""

    column: str
    value: str
    allowed: str

    @property
    def told(self) -> str:
        """The problem in words."""
        return f"{self.column} is {self.value!r}; allowed: {self.allowed}" if self.column else self.allowed


def kind_of(path: Path) -> str:
    """Return what a file holds by its name, or by its first bytes: parquet, json, jsonl or csv."""
    named = {".parquet": "parquet", ".pq": "parquet", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(path.suffix.lower())
    if named is not None:
        return named
    with _opened(path) as file:
        return "parquet" if file.read(4) == b"PAR1" else "csv"


def rows_of(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, in its order.

    Raises:
        TableUnreadable: the file is not there, is empty, or is not what its name says.
    """
    readers = {"parquet": _of_parquet, "json": _of_json, "jsonl": _of_lines, "csv": _of_csv}
    return readers[kind_of(path)](path)


def columns_of(path: Path) -> list[str]:
    """Return the names of the columns; of JSON, whose rows may differ, those of the first row. Raises as ``rows_of`` does."""
    kind = kind_of(path)
    if kind == "csv":
        dialect = csv_dialect(path)
        with path.open(encoding=dialect.encoding, newline="") as file:
            return _header(path, csv.reader(file, delimiter=dialect.delimiter or ","))
    if kind == "parquet":
        return list(_parquet(path).schema_arrow.names)
    return next((list(row.cells) for row in rows_of(path)), [])


def csv_dialect(path: Path) -> Dialect:
    """Return how a CSV is written.

    Raises:
        TableUnreadable: the file is not there, is empty, or is no text.
    """
    with _opened(path) as file:
        if not file.read(SAMPLE_BYTES).strip():
            raise TableUnreadable(path, "it is empty")
    dialect = dialect_of(path)
    if dialect is None:
        raise TableUnreadable(path, "it is no text, or in an encoding that is neither UTF-8, UTF-16 nor Latin-1")
    return dialect


def decimal_of(path: Path) -> str:
    """Return the decimal mark of a file's numbers: that of its CSV, a point in everything else. Raises as ``csv_dialect`` does."""
    return csv_dialect(path).decimal if kind_of(path) == "csv" else "."


def plain_number(text: str, decimal: str) -> str:
    """Return a number as Python writes it: where the decimal mark is a comma, points part thousands."""
    if decimal == "," and ("," in text or _GROUPED.fullmatch(text)):
        return text.replace(".", "").replace(",", ".")
    return text


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise TableUnreadable(path, (error.strerror or str(error)).lower()) from error


def _header(path: Path, reader: Any) -> list[str]:
    names = [name.strip() for name in next(reader, [])]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableUnreadable(path, f"two columns are called {', '.join(map(repr, twice))}")
    return names


def _of_csv(path: Path) -> Iterator[Row]:
    dialect = csv_dialect(path)
    with path.open(encoding=dialect.encoding, newline="") as file:
        reader = csv.reader(file, delimiter=dialect.delimiter or ",")
        names = _header(path, reader)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise TableUnreadable(path, f"line {line} is no CSV, {error}") from error
            if cells is None:
                return
            if cells:
                trouble = "" if len(cells) == len(names) else f"the header has {len(names)} cells, this line has {len(cells)}"
                yield Row(f"line {line}", {name: cell.strip() or None for name, cell in zip(names, cells, strict=False)}, trouble)


def _parquet(path: Path) -> Any:
    import pyarrow as pa  # noqa: PLC0415 -- not every file is a Parquet
    import pyarrow.parquet as pq  # noqa: PLC0415 -- as above

    _opened(path).close()
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise TableUnreadable(path, f"it is no Parquet file, {error}") from error


def _of_parquet(path: Path) -> Iterator[Row]:
    number = 0
    with _parquet(path) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            for cells in batch.to_pylist():
                number += 1
                yield Row(f"row {number}", {name: _known(value) for name, value in cells.items()})


def _known(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def _of_json(path: Path) -> Iterator[Row]:
    with _opened(path) as file:
        text = file.read()
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        if str(error).startswith("Extra data"):  # a file of JSON lines under the name of JSON
            yield from _of_lines(path)
            return
        raise TableUnreadable(path, f"it is not JSON, {error}") from error
    if isinstance(content, dict):
        content = content.get("rows", [content])
    if not isinstance(content, list):
        raise TableUnreadable(path, "it holds neither a row nor a list of rows")
    yield from (_checked(f"row {number}", row) for number, row in enumerate(content, 1))


def _of_lines(path: Path) -> Iterator[Row]:
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line, parse_constant=_refuse_constant)
            except (ValueError, RecursionError) as error:
                yield Row(f"line {number}", {}, f"it is not JSON, {error}")
            else:
                yield _checked(f"line {number}", row)


def _checked(at: str, row: object) -> Row:
    return Row(at, row) if isinstance(row, dict) else Row(at, {}, "it is no object with a value per column")


def _refuse_constant(name: str) -> None:
    message = f"JSON has no {name}"
    raise ValueError(message)
