"""What a drill says: before it begins, and when it is over."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["drift", "no-labels", "bad-data", "slow", "failing", "dead-controller"]


@dataclass(frozen=True)
class Plan:
    """What is about to be broken, what should happen then, what to ``watch`` (commands), and what is ``left`` afterwards."""

    broken: str
    expected: str
    watch: tuple[str, ...]
    left: str


@dataclass(frozen=True)
class Seen:
    """What was seen: sentences, and whether it is what should happen."""

    held: bool
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """One drill from its plan to what was seen of it."""

    kind: Kind
    model: str
    plan: Plan
    seen: Seen
