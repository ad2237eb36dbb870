"""What was set out to be reached, as a figure of ours alone, and whether it was."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.serving import results

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Goal:
    """A figure with its limit: at ``most``, or at least; ``unit`` stands behind both."""

    text: str
    limit: float
    unit: str = ""
    most: bool = True

    def line(self, value: float) -> tuple[str, ...]:
        """Return what is wanted, what was measured, and whether that is enough, as the cells of a table."""
        reached = value <= self.limit if self.most else value >= self.limit
        unit = f" {self.unit}" if self.unit else ""
        wanted = f"{'≤' if self.most else '≥'} {self.limit:g}{unit}"
        return self.text, wanted, f"{results.times(value)}{unit}", "target" if reached else "missed"


def table(found: Sequence[tuple[Goal, float]]) -> str:
    """Return the goals with the figures found, as Markdown."""
    return "\n".join(results.grid(("Treadle", "wanted", "measured", "reached"), [goal.line(value) for goal, value in found]))
