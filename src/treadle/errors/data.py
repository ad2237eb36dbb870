"""Failures of data: sources, checks, snapshots, splits."""

from collections.abc import Sequence
from pathlib import Path

from treadle.errors.base import TreadleError, choose_from


class DataUnavailable(TreadleError):
    """None of the sources of a contract could be had."""

    def __init__(self, model: str, misses: Sequence[str]) -> None:
        super().__init__(
            f"There are no data for {model}: every source of its contract failed.",
            problems=misses,
            fix="Put the file into a folder named by TREADLE_DATA_MIRROR, or add a source of kind simulated to model.yaml.",
        )


class DataDigestMismatch(TreadleError):
    """A file holds other rows than the contract was written for."""

    def __init__(self, source: str, expected: str, found: str) -> None:
        super().__init__(
            f"The rows from the {source} are not those that the contract names: their digest is {found}, not {expected}.",
            fix="Get the right file; or, if the new rows are meant, write their digest into rows_digest in model.yaml.",
        )


class DataUnreadable(TreadleError):
    """``load`` in model.py failed on the data."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"The data from the {source} cannot be read: {reason}", fix="Look at the file, and at load() in model.py.")


class DatabaseRefused(TreadleError):
    """A database cannot be reached or read; ``database`` is shown without its password."""

    def __init__(self, database: str, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"{database} cannot be read: {reason}.",
            fix="Look whether it runs and who may read it; `pip install` brings the driver it needs.",
        )


class TableNotFound(TreadleError):
    """A database has no table of this name."""

    def __init__(self, table: str, database: str, known: Sequence[str]) -> None:
        self.reason = f"it has no table {table!r}; {choose_from(known)}"
        super().__init__(
            f"{database} has no table {table!r}: {choose_from(known)}.", fix="Name one of these with --table or in model.yaml."
        )


class DataInvalid(TreadleError):
    """Rows break the contract; nothing is trained on them."""

    def __init__(self, model: str, problems: Sequence[str]) -> None:
        super().__init__(
            f"The data of {model} do not keep the contract.",
            problems=problems,
            fix="Mend the data or load() in model.py; if the world has changed, change the interface in model.yaml. "
            f"`treadle validate {model}` shows the rows, and what to paste.",
        )


class SnapshotNotFound(TreadleError):
    """There is no such snapshot, neither here nor in the place that hosts share, if there is one."""

    def __init__(self, model: str, digest: str, folder: Path, shared: str = "") -> None:
        where = f"{folder}{f', nor in the shared place {shared}' if shared else ''}"
        super().__init__(f"{model} has no snapshot {digest!r} under {where}.", fix=f"`ls {folder / model}` shows those there are.")


class SnapshotImpossible(TreadleError):
    """A column holds values of several types, so that the rows cannot be kept as a table."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The rows cannot be kept: {reason}.", fix="Give each column one type in load() of model.py.")


class SnapshotCorrupt(TreadleError):
    """The bytes of a snapshot are not those that its name promises; ``path`` is a file, or the address of a shared object."""

    def __init__(self, path: Path | str, found: str, *, shared: bool = False) -> None:
        mend = "Delete the file, then run `dvc checkout` in that folder: the cache of DVC still has it."
        again = "Delete the file; where the shared place has it, it is had from there again. docs/guides/shared-places.md says more."
        super().__init__(f"The snapshot {path} was changed: its bytes have the digest {found}.", fix=again if shared else mend)


class TargetInvalid(TreadleError):
    """The target of some rows is missing or is not what the contract allows."""

    def __init__(self, column: str, values: Sequence[object], count: int, classes: Sequence[str]) -> None:
        allowed = choose_from(classes) if classes else "a finite number"
        super().__init__(
            f"{count} rows have a target {column} that is not allowed, such as {', '.join(map(repr, values))}; allowed: {allowed}.",
            fix="Mend load() in model.py, or the target in model.yaml.",
        )


class SplitImpossible(TreadleError):
    """The rows cannot be parted as the contract asks."""

    def __init__(self, by: str, folds: int, reason: str) -> None:
        super().__init__(
            f"The rows cannot be split by {by} into a holdout and {folds} folds: {reason}.",
            fix="Bring more rows, or change interface.split in model.yaml.",
        )


class TableUnreadable(TreadleError):
    """A file of rows cannot be read."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The file {path} cannot be read as a table: {reason}.",
            fix=f"Give a CSV, a Parquet file, or JSON with an object per row; `ls -l {path.parent}` shows what is there.",
        )


class LabelColumnsInvalid(TreadleError):
    """The columns of a file of labels do not say what is what."""

    def __init__(self, model: str, path: Path, reason: str, columns: Sequence[str]) -> None:
        super().__init__(
            f"The labels in {path} cannot be told apart: {reason}. Its columns: {', '.join(columns)}.",
            fix=f"Name the columns: `treadle labels import {path} --model {model} --column value=COLUMN --column prediction_id=COLUMN`.",
        )


class LabelsRefused(TreadleError):
    """Lines of a file of labels are refused; none of the file is imported."""

    def __init__(self, path: Path, count: int, kept: Path, problems: Sequence[str]) -> None:
        lines = f"{count} {'line' if count == 1 else 'lines'}"
        super().__init__(
            f"{lines} of {path} {'is' if count == 1 else 'are'} refused, so no label of it was imported.",
            problems=problems,
            fix=f"Mend them there (they are also kept in {kept}), or import the others with --skip-bad.",
        )


class RowsRefused(TreadleError):
    """Cells of a file are no values of the contract's columns."""

    def __init__(self, model: str, path: Path, problems: Sequence[str]) -> None:
        super().__init__(
            f"Rows of {path} do not fit the contract, so they were not asked.",
            problems=problems,
            fix="Mend them and ask again; a file in its first form, which load() in model.py reads: "
            f"`treadle predict {model} {path} --raw`.",
        )
