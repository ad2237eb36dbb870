"""A drill in words: what is broken, what should happen, what to watch, and what was seen."""

from treadle.console import out
from treadle.drills.report import Report
from treadle.drills.run import KINDS, plan_of


def announce(kind: str, model: str) -> None:
    """Say what is about to happen, if there is such a drill."""
    known = next((one for one in KINDS if one == kind), None)
    if known is None:
        return
    plan = plan_of(known, model)
    said = {"Broken": plan.broken, "Expected": plan.expected, "Watch": "  ·  ".join(plan.watch), "Afterwards": plan.left}
    out.say("\n".join(f"{f'{title}:':12} {text}" for title, text in said.items()) + "\n")


def told(report: Report) -> str:
    """Return what was seen."""
    held = "The loop held." if report.seen.held else "It did not go as it should, or not yet."
    return "\n".join([*(f"  - {sentence}" for sentence in report.seen.sentences), held])
