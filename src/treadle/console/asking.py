"""A file of rows through the running service, batch by batch, in its order."""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from treadle import service
from treadle.console.answers import AnswerFile
from treadle.data.files import Problem, Row, columns_of, decimal_of, kind_of, rows_of
from treadle.data.requests import Requests
from treadle.errors import AnswerFileInvalid, DataUnreadable, RowFileInvalid, RowsRefused, RowsUnanswered, TreadleError
from treadle.projects import Project
from treadle.serving.inference import BATCH_ROWS
from treadle.settings import Workspace

CELLS = 50_000
"""Most cells of one batch, so that the body of wide rows stays below what the service reads."""

SHOWN = 10
"""How many problems an error names."""

Say = Callable[[str], None]
Progress = Callable[[int], None]


def silent(_told: object) -> None:
    """Tell nobody."""


class Source(NamedTuple):
    """Whom to ask about which rows: the service's address, the project, the file, and whether ``load`` in model.py reads it."""

    url: str
    project: Project
    path: Path
    raw: bool = False


class _Asked(NamedTuple):
    """One row: where it stands in the file, and what a request carries of it."""

    at: str
    payload: Mapping[str, Any]


def ask(workspace: Workspace, source: Source, *, say: Say = silent, progress: Progress = silent) -> list[dict[str, Any]]:
    """Return the answers to all rows of a file, in its order.

    Args:
        workspace: where answers are kept when a later row stops the rest.
        source: whom to ask about which rows.
        say: called with what a person should know, such as columns that are left out.
        progress: called with the number of rows answered so far.

    Raises:
        TableUnreadable, RowFileInvalid: the file holds no rows.
        RowsRefused: a cell is no value of its column; the error names lines and columns.
        RequestRefused, ServiceUnreachable, NoService: the service did not answer the first rows.
        RowsUnanswered: it answered the first rows and not the rest; their answers are kept in a file that the error names.
    """
    answers: list[dict[str, Any]] = []
    payloads: list[Mapping[str, Any]] = []
    try:
        for rows, answered in _batches(source, say):
            answers += answered
            payloads += [row.payload for row in rows]
            progress(len(answers))
    except TreadleError as error:
        if not answers:
            raise
        named = f"{source.path.stem}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.csv"
        kept = workspace.home / "reports" / "predictions" / source.project.name / named
        with AnswerFile(kept, source.project.contract.interface) as file:
            file.write(zip(payloads, answers, strict=True))
        raise _unanswered(source.path, len(answers), kept, error) from error
    return answers


def ask_into(out: Path, source: Source, *, say: Say = silent, progress: Progress = silent) -> int:
    """Write the answers to all rows of a file to ``out`` as they come, and return how many there are.

    Raises:
        AnswerFileInvalid: ``out`` is no .csv, .parquet or .json, or is the file of the rows itself.
        RowsUnanswered: as ``ask``; the answers to the first rows are in ``out``.
    """
    if out.resolve() == source.path.resolve():
        raise AnswerFileInvalid(out, "it holds the rows")
    with AnswerFile(out, source.project.contract.interface) as file:
        try:
            for rows, answered in _batches(source, say):
                file.write((row.payload, answer) for row, answer in zip(rows, answered, strict=True))
                progress(file.count)
        except TreadleError as error:
            if not file.count:
                raise
            raise _unanswered(source.path, file.count, out, error) from error
    return file.count


def _unanswered(path: Path, count: int, kept: Path, error: TreadleError) -> RowsUnanswered:
    return RowsUnanswered(path, count, kept, error.what, problems=error.problems, fix=error.fix)


def _batches(source: Source, say: Say) -> Iterator[tuple[list[_Asked], list[dict[str, Any]]]]:
    """Yield rows with their answers, a batch at a time."""
    size = max(1, min(BATCH_ROWS, CELLS // len(source.project.contract.interface.features)))
    rows = _rows(source, say)
    empty = True
    with service.connect(source.url) as client:
        while batch := list(islice(rows, size)):
            empty = False
            places = [row.at for row in batch]
            yield batch, service.ask_rows(client, source.project.name, [row.payload for row in batch], places)
    if empty:
        raise RowFileInvalid(source.path, "it holds no rows")


def _rows(source: Source, say: Say) -> Iterator[_Asked]:
    path = source.path
    if source.raw:
        yield from _cast(source, _loaded(source), ".", say)
    elif str(path) == "-" or kind_of(path) in {"json", "jsonl"}:
        yield from _as_they_are(source)
    else:
        decimal = decimal_of(path)
        yield from _cast(source, (columns_of(path), rows_of(path)), decimal, say)


def _as_they_are(source: Source) -> Iterator[_Asked]:
    """Yield the objects of a JSON file: JSON has numbers, truth and null of its own."""
    path = source.path
    if str(path) == "-" or kind_of(path) == "json":
        yield from (_Asked(f"row {number}", row) for number, row in enumerate(service.read_rows(path), 1))
        return
    for row in rows_of(path):
        if row.trouble:
            raise RowsRefused(source.project.name, path, [f"{row.at}: {row.trouble}"])
        yield _Asked(row.at, row.cells)


def _cast(source: Source, table: tuple[list[str], Iterator[Row]], decimal: str, say: Say) -> Iterator[_Asked]:
    """Yield rows as the contract reads their cells. The rows before a bad one are yielded first."""
    requests = Requests(source.project.contract.interface, decimal=decimal)
    columns, rows = table
    absent = requests.absent(columns)
    if absent:
        raise RowsRefused(source.project.name, source.path, [f"there is no column {name}, and every row must have one" for name in absent])
    if left_out := requests.left_out(columns):
        say(f"Left out, because the contract has no such features: {', '.join(left_out)}.")
    while part := list(islice(rows, BATCH_ROWS)):
        read = [(row, *requests.read(row.cells)) for row in part]
        wrong = [f"{row.at}: {told}" for row, _, problems in read for told in _told(row, problems)]
        if wrong:
            more = [f"and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
            raise RowsRefused(source.project.name, source.path, [*wrong[:SHOWN], *more])
        yield from (_Asked(row.at, payload) for row, payload, _ in read)


def _told(row: Row, problems: list[Problem]) -> list[str]:
    return [row.trouble] if row.trouble else [problem.told for problem in problems]


def _loaded(source: Source) -> tuple[list[str], Iterator[Row]]:
    """Return the columns and rows of a file in its first form, as ``load`` in model.py gives them."""
    try:
        frame = source.project.hook("load")(source.path)
        columns = list(map(str, frame.columns))
        records = frame.to_dict("records")
    except TreadleError:
        raise
    except Exception as error:
        raise DataUnreadable(f"file {source.path}", f"{type(error).__name__}: {error}") from error
    return columns, (Row(f"row {number}", record) for number, record in enumerate(records, 1))
