"""A drafted project on a terminal: what becomes of each column and why, what was assumed, what to type next."""

from collections.abc import Iterator
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from treadle.drafting.write import ColumnTold, Drafted

STYLES = {"target": "bold", "left out": "dim", "entity": "cyan", "time": "cyan"}


def parts(made: Drafted) -> "Iterator[str | Table]":
    """Yield what is shown, from the columns to the next commands."""
    yield columns(made)
    if made.made_workspace:
        yield f"{made.made_workspace} had no treadle.toml: it is a workspace now."
    yield from _listed("Assumed", made.assumptions)
    yield from _listed("Look at these", made.warnings)
    folder = _near(Path(made.folder))
    yield f"\nWritten: {folder}/model.yaml, model.py, policy.demo.yaml. They are yours: each guess stands there with its reason."
    if made.next:
        yield "\n".join(["\nNext:", *(f"  {command}" for command in made.next)])


def columns(made: Drafted) -> Table:
    """Return a row per column of the table."""
    kept = sum(column.treatment not in {"left out", "target", "entity", "time"} for column in made.columns)
    features = "1 column" if kept == 1 else f"{kept} columns"
    title = f"{made.name}: {made.target} from {features} and {made.rows:,} rows of {made.source}, measured by {made.metric}"
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("column", "becomes", "because"):
        table.add_column(heading, overflow="fold")
    for column in made.columns:
        table.add_row(escape(_named(column)), column.treatment, escape(column.why), style=STYLES.get(column.treatment, ""))
    return table


def _named(column: ColumnTold) -> str:
    """Return the name of a column, and what it is called now if that is another."""
    renamed = column.name and column.name != column.column
    return f"{column.column.strip()!r} → {column.name}" if renamed else column.column


def _listed(heading: str, sentences: tuple[str, ...]) -> Iterator[str]:
    if sentences:
        yield "\n".join([f"\n{heading}:", *(f"  - {sentence}" for sentence in sentences)])


def _near(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
