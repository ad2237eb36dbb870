"""Reports on the disk: a page, the same as JSON, and a sample of the bad rows, in a folder of their own.

<home>/reports/validation/<model>/<snapshot or time>/report.html, report.json, bad_rows.csv

A snapshot is named by the first characters of its digest.
"""

import json
import math
import os
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pandas import DataFrame

from treadle.data.validate import check
from treadle.data.validation.findings import Report, bad_rows
from treadle.data.validation.page import About, page
from treadle.settings import Workspace
from treadle.spec import Contract

PAGE = "report.html"
FACTS = "report.json"
BAD_ROWS = "bad_rows.csv"

NAMED = 12
"""How many characters of a digest name a folder."""

SHOWN = (PAGE, FACTS)
"""What may go with a run to a shared MLflow; the bad rows stay here."""


@dataclass(frozen=True)
class Kept:
    """A report, and the folder where it lies."""

    report: Report
    folder: Path

    @property
    def page(self) -> Path:
        """The file to open."""
        return self.folder / PAGE


def inspect(workspace: Workspace, contract: Contract, frame: DataFrame, about: About) -> Kept:
    """Check rows and keep the report, whatever it says."""
    report = check(contract, frame, now=about.at)
    return Kept(report, keep(workspace, report, frame, replace(about, policy=contract.policy.data.digest)))


def keep(workspace: Workspace, report: Report, frame: DataFrame, about: About) -> Path:
    """Write a report on ``frame`` and return its folder; one about the same snapshot is written anew."""
    moment = datetime.fromtimestamp(about.at, UTC)
    name = about.snapshot[:NAMED] or f"{moment:%Y-%m-%dT%H-%M-%S}.{moment.microsecond // 1000:03d}Z"
    folder = place(workspace, about.model) / name
    folder.mkdir(parents=True, exist_ok=True)
    facts = {**asdict(about), **report.to_json()}
    _write(folder / FACTS, json.dumps(_finite(facts), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    _write(folder / PAGE, page(report, about))
    shown = bad_rows(report, frame.reset_index(drop=True))
    if not shown.empty:
        _write(folder / BAD_ROWS, shown.to_csv(index=False, lineterminator="\n"))
    else:
        (folder / BAD_ROWS).unlink(missing_ok=True)
    return folder


def place(workspace: Workspace, model: str) -> Path:
    """Return the folder of all reports on a model's data."""
    return workspace.home / "reports" / "validation" / model


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all: two trainings may report on one snapshot at once."""
    fresh = path.with_name(f".{uuid.uuid4().hex}")
    fresh.write_text(text, encoding="utf-8", errors="backslashreplace")
    os.replace(fresh, path)  # noqa: PTH105 - a rename that must replace


def _finite(value: Any) -> Any:
    """Return what JSON can hold: a number that is none becomes null."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
