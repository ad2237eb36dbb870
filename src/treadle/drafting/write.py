"""Write the folder of a drafted project, once what stands in it has been tried: it loads, it is valid, it can be split."""

import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pandas import DataFrame

from treadle.bundle.durable import write_through
from treadle.data.frame import target
from treadle.data.split import split
from treadle.data.validate import require_valid
from treadle.drafting.asked import Asked
from treadle.drafting.code import code_text
from treadle.drafting.contract import contract_text, overlay_text
from treadle.drafting.guess import Assumptions, guess
from treadle.drafting.look import Table, look
from treadle.errors import DataUnreadable, ProjectExists, ProjectNameInvalid, SplitImpossible
from treadle.projects import CODE_FILE, CONTRACT_FILE, Project
from treadle.settings import MARKER, Workspace
from treadle.spec import load_contract

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
OVERLAY_FILE = "policy.demo.yaml"
MARKER_TEXT = "# This folder is a Treadle workspace: its projects stand under projects/, its state under .treadle/.\n"
SEED = 42
"""Of the split that is tried."""


@dataclass(frozen=True)
class ColumnTold:
    """What becomes of a column of the table, and why; ``name`` is what the contract calls it, empty if it is left out."""

    column: str
    name: str
    treatment: str
    why: str
    warning: str


@dataclass(frozen=True)
class Drafted:
    """A project that was written, and what was assumed. ``next`` are the commands to type now."""

    name: str
    folder: str
    made_workspace: str
    source: str
    task: str
    target: str
    metric: str
    rows: int
    columns: tuple[ColumnTold, ...]
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    next: tuple[str, ...]


def draft(asked: Asked, targets: Sequence[str], workspace: Workspace, *, guess_target: bool = False) -> Drafted:
    """Look at a table, guess what it is, and write the project; a folder without treadle.toml becomes a workspace by it.

    Raises:
        ProjectNameInvalid, ProjectExists: the project cannot be called so.
        NoTable, NoRows, TableNotNamed, TableUnknown: the table cannot be read.
        TargetNotNamed, TwoTargets, TargetNotFound, TargetUnusable, TooFewRows, NothingToLearnFrom: it cannot be learnt from.
    """
    folder = _free(asked, targets, workspace)
    table = look(asked, workspace)
    assumed = guess(table.frame, asked, targets, guess_target=guess_target)
    assumed, files = _proven(asked.name, table, assumed)
    made = not (workspace.root / MARKER).is_file()
    if made:
        write_through(workspace.root / MARKER, MARKER_TEXT.encode())
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:  # somebody was quicker
        raise ProjectExists(asked.name, folder, asked.command(name=f"{asked.name}_2")) from error
    for name, text in files.items():
        write_through(folder / name, text.encode())
    return _told(asked, table, assumed, folder, str(workspace.root) if made else "")


def proposal(name: str) -> str:
    """Return the nearest name that a project may have."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:63]
    return words if NAME.fullmatch(words) else f"model_{words}".rstrip("_")[:63]


def _free(asked: Asked, targets: Sequence[str], workspace: Workspace) -> Path:
    """Return the folder that the project will have."""
    again = replace(asked, target=targets[0] if targets else None)
    if not NAME.fullmatch(asked.name):
        raise ProjectNameInvalid(asked.name, again.command(name=proposal(asked.name)))
    folder = workspace.projects_dir / asked.name
    if folder.exists():
        raise ProjectExists(asked.name, folder, again.command(name=f"{asked.name}_2"))
    return folder


def _proven(name: str, table: Table, assumed: Assumptions) -> tuple[Assumptions, dict[str, str]]:
    """Return the files of the project; where its rows cannot be split as was meant, they are split at random, and a note says so."""
    files = _files(name, table, assumed)
    try:
        _try(name, files, table.raw)
    except SplitImpossible as error:
        if assumed.split == "random":
            raise
        note = f"{error.what} So they are split at random."
        notes = (*(one for one in assumed.notes if not _is_about_split(one)), note)
        assumed = replace(assumed, split="random", notes=notes)
        files = _files(name, table, assumed)
        _try(name, files, table.raw)
    return assumed, files


def _is_about_split(note: str) -> bool:
    return "held out" in note or "never in both" in note


def _files(name: str, table: Table, assumed: Assumptions) -> dict[str, str]:
    return {
        CONTRACT_FILE: contract_text(name, table, assumed),
        CODE_FILE: code_text(name, table, assumed),
        OVERLAY_FILE: overlay_text(assumed),
    }


def _try(name: str, files: dict[str, str], raw: Path | DataFrame) -> None:
    """Load, check and split the rows as a training would."""
    with tempfile.TemporaryDirectory(prefix="treadle-draft-") as place:
        folder = Path(place)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        contract = load_contract(folder / CONTRACT_FILE)
        load_contract(folder / CONTRACT_FILE, "demo")
        load = Project(folder, contract).hook("load")
        try:
            frame: DataFrame = load(raw)
        except Exception as error:
            raise DataUnreadable(name, f"{type(error).__name__}: {error}") from error
    require_valid(contract, frame)
    parted = split(contract.interface, frame, SEED)
    answers = target(contract.interface, frame)
    classes = len(contract.interface.target.classes)
    for rows in (parted.train, parted.holdout):
        if classes and len(set(answers[rows].tolist())) < classes:
            reason = f"the {'training rows' if rows is parted.train else 'rows held out'} would lack a class"
            raise SplitImpossible(contract.interface.split.by, contract.interface.split.folds, reason)


def _told(asked: Asked, table: Table, assumed: Assumptions, folder: Path, made_workspace: str) -> Drafted:
    goal = assumed.goal
    columns = [ColumnTold(goal.raw, goal.name, "target", _about_target(assumed), "")]
    for column in assumed.columns:
        kind = column.feature.type if column.feature else column.treatment
        name = column.name if column.treatment != "left out" else ""
        columns.append(ColumnTold(column.raw, name, kind, column.why, column.warning))
    return Drafted(
        asked.name,
        str(folder),
        made_workspace,
        table.called,
        goal.task,
        goal.name,
        goal.metric,
        assumed.rows,
        tuple(columns),
        _assumptions(table, assumed),
        (*_twice(table, assumed), *(f"{column.raw.strip()}: {column.warning}" for column in assumed.columns if column.warning)),
        _next(asked),
    )


def _twice(table: Table, assumed: Assumptions) -> Iterator[str]:
    """Yield a sentence for each name that stands more than once in the header of a file."""
    header = table.reading.header
    for name, count in Counter(header).items():
        if count > 1:
            alike = [(place, called) for place, called in enumerate(table.frame.columns) if header[place] == name]
            told = [f"column {place + 1}, here {called!r}{' (the target)' * (called == assumed.goal.raw)}" for place, called in alike]
            yield f"The header names {name!r} {'twice' if count == 2 else f'{count} times'}: {'; '.join(told)}."


def _about_target(assumed: Assumptions) -> str:
    goal = assumed.goal
    positive = f"; {goal.positive!r} is the positive one: {goal.positive_why}" if goal.positive else ""
    return f"{goal.task}: {goal.why}{positive}"


def _assumptions(table: Table, assumed: Assumptions) -> tuple[str, ...]:
    """Return what matters most, in sentences."""
    said = []
    if table.reading.kind == "csv":
        separators = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
        comma = " and decimal commas" if assumed.decimal == "," else ""
        said.append(f"The file is in {table.reading.encoding}, with {separators[table.reading.separator]}{comma}.")
    shown = [repr(text) for text in assumed.nothing if text]
    if shown:
        said.append(f"Besides empty cells {', '.join(shown)} count{'s' if len(shown) == 1 else ''} as missing.")
    return (*said, *assumed.notes)


def _next(asked: Asked) -> tuple[str, ...]:
    export = (f'export {asked.variable}="…"  # the URL of the database, wherever treadle runs',) if asked.secret else ()
    return (*export, *next_commands(asked.name))


def next_commands(name: str) -> tuple[str, ...]:
    """Return what is typed for a new project, from its files to a service."""
    return (*(f"treadle {command} {name}" for command in ("check", "train", "evaluate", "promote")), "treadle up")
