"""Answers of the service as a person or a program reads them: lines, a table, files."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from rich.table import Table

from treadle.errors import AnswerFileInvalid
from treadle.spec import Interface

FIRST = 10
"""How many answers a table shows."""

Answer = Mapping[str, Any]


def shown(answers: Sequence[Answer]) -> str | Table:
    """Return one answer as a line, several as a table of the first and a count."""
    if len(answers) == 1:
        return _line(answers[0])
    drawn = Table(title=f"{len(answers)} rows answered{f', the first {FIRST}' if len(answers) > FIRST else ''}", title_justify="left")
    sure = "confidence" in answers[0]
    for column in ("row", "prediction", *(["confidence"] if sure else []), "version", "prediction_id"):
        drawn.add_column(column, justify="right" if column in {"row", "confidence"} else "left")
    for number, answer in enumerate(answers[:FIRST], 1):
        confidence = [f"{answer['confidence']:.3f}"] if sure else []
        drawn.add_row(str(number), str(answer["prediction"]), *confidence, str(answer["version"]), answer["prediction_id"])
    return drawn


def _line(answer: Answer) -> str:
    confidence = answer.get("confidence")
    sure = f" (confidence {confidence:.3f})" if confidence is not None else ""
    return f"{answer['prediction']}{sure}  {answer['model']} version {answer['version']}, prediction {answer['prediction_id']}"


class Sink(Protocol):
    """Takes answers in their order."""

    def write(self, rows: Sequence[Answer]) -> None:
        """Take some more."""

    def close(self) -> None:
        """Finish the file."""


class AnswerFile:
    """A file of answers, .csv, .parquet or .json by its name, that is in sight once it is whole; nothing is kept of no answer.

    A table has a column per class with its probability, and whom the row was about where the contract names an entity.

    Raises:
        AnswerFileInvalid: its name says none of the three forms.
    """

    def __init__(self, path: Path, interface: Interface) -> None:
        kinds: dict[str, Callable[[Path, Sequence[str]], Sink]] = {".csv": _Csv, ".parquet": _Parquet, ".json": _Json}
        if path.suffix not in kinds:
            raise AnswerFileInvalid(path, "its name must end in .csv, .parquet or .json")
        self.count = 0
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._entity = interface.entity
        self._flat = path.suffix != ".json"
        self._classes = interface.target.classes
        columns = ["prediction_id", "prediction", "confidence", *map(_share, self._classes), "model", "version", "fallback"]
        named = [name for name in columns if self._classes or name != "confidence"]
        path.parent.mkdir(parents=True, exist_ok=True)
        self._sink = kinds[path.suffix](self._part, [*([self._entity] if self._entity else []), *named])

    def write(self, asked: Iterable[tuple[Mapping[str, Any], Answer]]) -> None:
        """Take rows, as they were sent, with their answers."""
        rows = [self._row(payload, answer) for payload, answer in asked]
        self._sink.write(rows)
        self.count += len(rows)

    def _row(self, payload: Mapping[str, Any], answer: Answer) -> Answer:
        if not self._flat:
            return answer
        shares = {_share(name): value for name, value in answer.get("probabilities", {}).items()}
        whom = {self._entity: payload.get(self._entity)} if self._entity else {}
        return {**whom, **{key: value for key, value in answer.items() if key != "probabilities"}, **shares}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._sink.close()
        if self.count:
            self._part.replace(self._path)
        else:
            self._part.unlink()


def _share(name: str) -> str:
    return f"probability_{name}"


class _Csv:
    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._file, columns, lineterminator="\n")
        self._writer.writeheader()

    def write(self, rows: Sequence[Answer]) -> None:
        self._writer.writerows(rows)

    def close(self) -> None:
        self._file.close()


class _Json:
    def __init__(self, path: Path, _columns: Sequence[str]) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._between = "[\n"

    def write(self, rows: Sequence[Answer]) -> None:
        for row in rows:
            self._file.write(self._between + json.dumps(row, ensure_ascii=False))
            self._between = ",\n"

    def close(self) -> None:
        self._file.write("\n]\n")
        self._file.close()


class _Parquet:
    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path = path
        self._columns = columns
        self._writer: Any = None
        path.touch()

    def write(self, rows: Sequence[Answer]) -> None:
        import pyarrow as pa  # noqa: PLC0415 -- not every file is a Parquet
        import pyarrow.parquet as pq  # noqa: PLC0415 -- as above

        if self._writer is None:
            kinds = {"prediction": pa.string() if isinstance(rows[0]["prediction"], str) else pa.float64(), "version": pa.int64()}
            kinds |= {"fallback": pa.bool_(), "confidence": pa.float64()}
            shares = {name: pa.float64() for name in self._columns if name.startswith(_share(""))}
            fields = [(name, {**shares, **kinds}.get(name, pa.string())) for name in self._columns]
            self._writer = pq.ParquetWriter(self._path, pa.schema(fields))
        self._writer.write_table(pa.Table.from_pylist(list(rows), schema=self._writer.schema))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
