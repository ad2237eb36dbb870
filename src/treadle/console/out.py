"""What every command needs at the edge: the workspace, the store, and a way to answer a person or a script."""

import dataclasses
import json as jsonlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

import numpy as np
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from treadle.console.narration import narrate
from treadle.console.screen import Screen
from treadle.state.verdicts import Verdict
from treadle.telling import Tell

console = Console(highlight=False, soft_wrap=True)
aside = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a line for a person."""
    console.print(text, markup=False)


def teller(*, json: bool) -> Tell:
    """Return what shows a person each step of a long command when it is done. A script gets the answer alone."""
    screen = Screen(console)

    def tell(kind: str, *, model: str | None = None, **facts: object) -> None:
        # What fails is also raised, and told once.
        if not json and kind not in {"data.refused", "training.failed"}:
            line = narrate(kind, model, facts)
            screen.line(line.text, line.style)

    return tell


def hint(text: str) -> None:
    """Print a line for a person on standard error, where it is in no script's way."""
    aside.print(text, markup=False)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal what is being done, until it is done; elsewhere nothing. What trains takes seconds to load."""
    if not aside.is_terminal:
        yield
        return
    with aside.status(what):
        yield


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many there are so far; elsewhere nothing."""
    if not aside.is_terminal:
        yield lambda _count: None
        return
    with aside.status(f"0 {what}") as status:
        yield lambda count: status.update(f"{count} {what}")


def answer(value: object, *, json: bool, text: "str | Table | Sequence[Table]") -> None:
    """Print the result of a command: JSON for a script, or text and tables for a person."""
    if json:
        text = jsonlib.dumps(as_json(value), indent=2, ensure_ascii=False, allow_nan=False)
        print(text, flush=True)  # noqa: T201 -- raw, for a script; flushed, so that a reader who has gone is found here and not at the exit
    elif isinstance(text, str):
        say(text)
    else:
        for table in [text] if isinstance(text, Table) else text:
            console.print(table, soft_wrap=False)


def line(value: object) -> None:
    """Print a value as one line of JSON, for a script that reads on."""
    print(jsonlib.dumps(as_json(value), ensure_ascii=False, allow_nan=False), flush=True)  # noqa: T201 -- as in ``answer``


def as_json(value: object) -> Any:
    """Return ``value`` as something JSON can hold: records as mappings, arrays as lists, not-a-number as null."""
    if isinstance(value, BaseModel):
        return as_json(value.model_dump(mode="json"))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: as_json(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return as_json(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [as_json(inner) for inner in value]
    return str(value) if isinstance(value, PurePath) else None if isinstance(value, float) and not np.isfinite(value) else value


def verdict_text(verdict: Verdict) -> str:
    """Return a verdict as a headline and its reasons."""
    head = f"{verdict.model} version {verdict.version} {'passes' if verdict.passed else 'is refused by'} the gate."
    return "\n".join([head, *(f"  - {reason}" for reason in verdict.reasons)])
