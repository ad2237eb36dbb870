"""What takes up room, and what names what: the words that inventory, plan and sweep share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["log", "version", "run", "bundle", "snapshot", "training log", "leftover", "download"]

SWEPT: tuple[Kind, ...] = ("log", "leftover", "training log", "version", "bundle", "run", "snapshot", "download")
"""The order of a sweep: what names comes before what is named, so that nothing is ever left naming what is gone."""


class Key(NamedTuple):
    """What a thing is called; ``model`` is empty where it belongs to none."""

    kind: Kind
    model: str
    name: str

    def __str__(self) -> str:
        named = self.name if self.kind in {"version", "log"} else self.name[:12]
        return f"{self.kind} {named}" + (f" of {self.model}" if self.model else "")


@dataclass(frozen=True)
class Thing:
    """One thing that takes up ``size`` bytes, made at ``at`` (epoch seconds); a stretch of the log holds ``count`` rows up to ``at``.

    ``refers`` are the things that it names and that must stay for as long as it does.
    """

    key: Key
    size: int
    at: float
    refers: frozenset[Key] = frozenset()
    count: int = 1


class Hold(NamedTuple):
    """A reason in a sentence part, such as "champion in generation 4", why a thing must stay."""

    key: Key
    by: str


class Need(NamedTuple):
    """The logged rows of ``model`` at or after ``since`` (epoch seconds) must stay."""

    model: str
    since: float
    by: str


@dataclass(frozen=True)
class Inventory:
    """All that there is. ``total`` is what the home folder takes up now, ``rooms`` the same by what it is for, both in bytes.

    ``missing`` tells in sentences what could not be looked at; what depends on it is not among the things.
    """

    things: tuple[Thing, ...]
    holds: tuple[Hold, ...] = ()
    needs: tuple[Need, ...] = ()
    total: int = 0
    rooms: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
