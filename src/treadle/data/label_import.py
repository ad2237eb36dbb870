"""Labels from a file into the log: the whole file is checked first, then inserted in bites, so that a second time adds nothing."""

import csv
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy import Connection, Row, func, select

from treadle.bundle.place import BundlePlace
from treadle.data.files import Problem, columns_of, decimal_of, rows_of
from treadle.data.files import Row as Line
from treadle.data.labels import KEYS, Labels, find_columns, follow, key_of
from treadle.errors import LabelColumnsInvalid, LabelsRefused
from treadle.identity import Pseudonyms, pseudonyms
from treadle.projects import Project
from treadle.settings import Workspace
from treadle.spec import Interface
from treadle.state import deployments, events, joins, log
from treadle.state.schema import labels as label_table
from treadle.state.store import Store

BITE = 1000
"""Labels of one transaction: the shipper waits no longer than that."""

SHOWN = 10
"""How many problems an error names; the file that is kept has all of them."""

CELL = 1000
"""Longest text of a bad line's cell that is kept."""


@dataclass(frozen=True)
class Imported:
    """What became of a file of labels.

    ``read`` lines, of which ``new`` labels were not in the log yet and ``known`` were; of the new ones ``joined`` have found their
    prediction and ``waiting`` have not. ``refused`` lines are bad; ``kept`` is the file that has them, with the reason.
    """

    model: str
    read: int
    new: int
    known: int
    joined: int
    waiting: int
    refused: int
    kept: Path | None


@dataclass(frozen=True)
class _Source:
    """One file, and how its lines are read."""

    path: Path
    columns: Sequence[str]
    labels: Labels
    hidden: Pseudonyms | None = None
    last: dict[tuple[str, str], int] = field(default_factory=dict)
    """Of lines without a time that name the same prediction the last one counts: its number among the good lines, by the key."""

    def good(self) -> Iterator[dict[str, Any]]:
        """Yield the labels of the good lines; of several without a time for one prediction the last."""
        labels = (label for _, label, _ in self.read() if label is not None)
        for number, label in enumerate(labels):
            if label["timed"] or self.last[key_of(label)] == number:
                yield label

    def read(self) -> Iterator[tuple[Line, dict[str, Any] | None, list[Problem]]]:
        """Yield every line with its label, or with what is wrong with it."""
        for row in rows_of(self.path):
            label, wrong = self.labels.read(row)
            yield row, label if label is None or self.hidden is None else {**label, **_unnamed(label, self.hidden)}, wrong


def _unnamed(label: Mapping[str, Any], hidden: Pseudonyms) -> dict[str, Any]:
    """Return the names in a label as they are logged; its id says nothing about them either."""
    names = {part: hidden.of(label[part]) for part in ("request_id", "entity") if label[part] is not None}
    return {**names, "label_id": str(uuid.UUID(hidden.of(label["label_id"])[-32:]))} if names else {}


def import_labels(  # noqa: PLR0913 - what one import can be told
    workspace: Workspace,
    store: Store,
    project: Project,
    path: Path,
    *,
    columns: Mapping[str, str],
    skip_bad: bool,
    now: float,
    actor: str,
) -> Imported:
    """Put the labels of a file into the log and join those whose prediction is there.

    ``columns`` names the file's column for a part of a label, where its name does not say it.

    Raises:
        TableUnreadable: the file is not there or is no table.
        LabelColumnsInvalid: no column holds the value, or none names the predictions.
        LabelsRefused: a line is bad and ``skip_bad`` is false; nothing was imported, and the bad lines are kept in a file.
        BundleNotFound, BundleCorrupt: the champion's bundle, which knows the classes, is gone or damaged.
    """
    source = _source(workspace, store, project, path, columns, now)
    read, refused, kept, problems = _check(workspace, project.name, source, now)
    if refused and not skip_bad:
        raise LabelsRefused(path, refused, kept, problems)
    new = _insert(store, source)
    with store.write() as conn:
        joins.resolve_labels(conn, now=now, expire={})
        waiting = _waiting(conn, project.name, now)
        facts = {"read": read, "new": new, "joined": new - waiting, "waiting": waiting, "refused": refused}
        events.append(conn, "labels.imported", at=now, model=project.name, actor=actor, data={"file": path.name, **facts})
    return Imported(model=project.name, known=read - refused - new, kept=kept if refused else None, **facts)


def _source(workspace: Workspace, store: Store, project: Project, path: Path, columns: Mapping[str, str], now: float) -> _Source:
    (interface, hides), there = _interface(workspace, store, project), columns_of(path)
    try:
        found = find_columns(interface, there, columns)
    except ValueError as error:
        raise LabelColumnsInvalid(project.name, path, str(error), there) from error
    decimal = decimal_of(path)
    hidden = pseudonyms(workspace, project.name) if hides else None
    return _Source(path, there, Labels(project.name, interface, found, now=now, decimal=decimal), hidden)


def _interface(workspace: Workspace, store: Store, project: Project) -> tuple[Interface, bool]:
    """Return what the champion answers by, and whether a deployed version hides names; without a champion, what the contract says."""
    with store.read() as conn:
        deployment = deployments.current(conn, project.name)
    if deployment is None or deployment.champion is None:
        return project.contract.interface, project.contract.interface.pseudonymize
    place = BundlePlace.of(workspace)
    return place.get(deployment.champion.digest).interface, any(place.interface(slot.digest).pseudonymize for slot in deployment.slots)


def _check(workspace: Workspace, model: str, source: _Source, now: float) -> tuple[int, int, Path, list[str]]:
    """Return how many lines there are and how many are bad, where these are kept, and the first problems as text."""
    day = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    kept = workspace.home / "reports" / "labels" / model / f"{source.path.stem}-{day}.csv"
    read, refused = 0, 0
    problems: list[str] = []
    with closing(_BadLines(kept, source.columns)) as bad:
        for row, label, wrong in source.read():
            read += 1
            if label is not None and not label["timed"]:
                source.last[key_of(label)] = read - refused - 1
            if label is None:
                refused += 1
                told = [problem.told for problem in wrong]
                problems += [f"{row.at}: {one}" for one in told if len(problems) < SHOWN]
                bad.write(row, told)
    return read, refused, kept, problems


class _BadLines:
    """The bad lines of a file as a CSV of the same columns, with where they stood and why: to be mended and imported itself."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path = path
        self._columns = columns
        self._file: TextIO | None = None

    def write(self, row: Line, problems: Sequence[str]) -> None:
        """Keep one line. The file is made with the first."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file, lineterminator="\n").writerow(["where", "problem", *self._columns])
        cells = ["" if row.cells.get(name) is None else str(row.cells[name])[:CELL] for name in self._columns]
        csv.writer(self._file, lineterminator="\n").writerow([row.at, "; ".join(problems), *cells])

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()


def _insert(store: Store, source: _Source) -> int:
    """Insert the good lines; return how many labels were not in the log yet."""
    new, good = 0, source.good()
    while bite := list(islice(good, BITE)):
        with store.write() as conn:
            fresh = _fresh(conn, bite)
            log.insert_labels(conn, list(fresh.values()))
            new += len(fresh)
    return new


def _fresh(conn: Connection, bite: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the labels of a bite that say something which the log does not say yet, by their ids."""
    standing = _standing(conn, [label for label in bite if not label["timed"]])
    fresh: dict[str, Mapping[str, Any]] = {}
    for label in bite:
        then = None if label["timed"] else standing.get(key_of(label))
        if then is not None and then.value == label["value"]:
            continue
        following = label if then is None else follow(label, then.label_id)
        fresh[following["label_id"]] = following
    known = conn.execute(select(label_table.c.label_id).where(label_table.c.label_id.in_(fresh))).scalars()
    for there in list(known):
        del fresh[there]
    return fresh


def _standing(conn: Connection, labels: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Row[Any]]:
    """Return the label that counts now for each prediction that these labels name in the same way."""
    found: dict[tuple[str, str], Row[Any]] = {}
    for part in KEYS:
        names = {label[part] for label in labels if label[part] is not None}
        column = label_table.c[part]
        said = select(label_table).where(label_table.c.model == labels[0]["model"], column.in_(names)) if names else None
        order = (label_table.c.event_at, label_table.c.received_at, label_table.c.label_id)
        for row in conn.execute(said.order_by(*order)) if said is not None else ():
            found[part, row._mapping[part]] = row  # noqa: SLF001 - SQLAlchemy's public way to a column by name
    return found


def _waiting(conn: Connection, model: str, received_at: float) -> int:
    """Return how many of the labels that came at one moment have no prediction yet."""
    came = (label_table.c.model == model, label_table.c.received_at == received_at)
    return conn.execute(select(func.count()).where(*came, label_table.c.joined_id.is_(None), ~label_table.c.expired)).scalar_one()
