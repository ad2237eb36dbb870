"""What `treadle gc` and `treadle reset` show."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from rich.table import Table

from treadle.retention.collection import Collected
from treadle.retention.plan import Kept, Plan, Removal
from treadle.retention.things import Thing

if TYPE_CHECKING:
    from treadle.retention.reset import Cleared

_Item = TypeVar("_Item", Kept, Removal)

SHOWN = 12
"""Most lines of what stays that are shown; the rest is in --json."""


def tables(done: Collected) -> Sequence[Table]:
    """Return what goes (or went), what stays and why, and where the room is."""
    decided = done.plan
    went = "What goes" if done.swept is None else "What went"
    shown = [_grouped(f"{went}: {size(decided.freed)}", decided.removals, lambda one: one.reason)] if decided.removals else []
    stays = [one for one in decided.kept if one.thing.key.kind not in {"run", "training log", "download"}]
    return [*shown, _grouped("What stays", stays, lambda one: one.by), _rooms(decided)]


def sentences(done: Collected) -> str:
    """Return what a person should know besides the tables."""
    decided, told = done.plan, list(done.plan.missing)
    if not decided.removals:
        told.append("Nothing goes: the policies keep all that there is, or something needs it.")
    if done.swept is not None:
        told += [f"{key} stays after all: something has come to need it meanwhile." for key in done.swept.spared]
        told += [f"Something may still lie at {place}." for place in done.swept.left]
        if done.swept.counts.get("log"):
            told.append("The freed pages of an SQLite store are used again; --vacuum gives them back to the disk.")
    if decided.over:
        most = ", ".join(f"{name} {size(taken)}" for name, taken in sorted(decided.rooms.items(), key=lambda item: -item[1])[:3])
        told.append(
            f"The home folder stays {size(decided.over)} above its cap of {size(decided.cap)} (cap_gb): all that is left is needed, "
            f"or is not removed by itself. Most room is held by {most}."
        )
    if done.swept is None and decided.removals:
        told.append("This was a dry run: nothing was removed. Without --dry-run it goes.")
    return "\n".join(told)


def cleared(done: "Cleared") -> str:
    """Return what a reset has done."""
    counts = ", ".join(f"{count} {name}" for name, count in done.counts.items())
    return "\n".join([f"Reset: {counts} are gone.", *done.left])


def facts(done: Collected) -> dict[str, Any]:
    """Return a collection as a script reads it: sizes in bytes, times in epoch seconds."""
    decided, swept = done.plan, done.swept
    return {
        "removed": swept is not None,
        "going": [{**_facts(one.thing), "reason": one.reason} for one in decided.removals],
        "staying": [{**_facts(one.thing), "reason": one.by, "needed": one.held} for one in decided.kept],
        "bytes": {
            "home": decided.total,
            "going": decided.freed,
            "cap": decided.cap,
            "above_cap": decided.over,
            "rooms": dict(decided.rooms),
        },
        "spared": [str(key) for key in swept.spared] if swept else [],
        "left": [*decided.missing, *(swept.left if swept else [])],
    }


def _facts(thing: Thing) -> dict[str, Any]:
    key = thing.key
    return {"model": key.model, "kind": key.kind, "name": key.name, "count": thing.count, "bytes": thing.size, "at": thing.at}


def size(number: int) -> str:
    """Return a number of bytes as a person reads it."""
    amount = float(number)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def _grouped(title: str, items: Iterable[_Item], reason: Callable[[_Item], str]) -> Table:
    """Return a line per model, kind and reason, the largest first."""
    groups: dict[tuple[str, str, str], list[Thing]] = {}
    for one in items:
        groups.setdefault((one.thing.key.model or "-", one.thing.key.kind, reason(one)), []).append(one.thing)
    lines = sorted(groups.items(), key=lambda item: -sum(thing.size for thing in item[1]))
    drawn = Table(title=title)
    for column in ("model", "what", "count", "size", "why"):
        drawn.add_column(column, justify="right" if column in {"count", "size"} else "left", overflow="fold")
    for (model, kind, why), things in lines[:SHOWN]:
        drawn.add_row(
            model, _names(kind, things), str(sum(thing.count for thing in things)), size(sum(thing.size for thing in things)), why
        )
    if len(lines) > SHOWN:
        drawn.add_row("…", f"{len(lines) - SHOWN} more lines", "", "", "--json lists each thing")
    return drawn


def _names(kind: str, things: Sequence[Thing]) -> str:
    if kind != "version":
        return "log rows" if kind == "log" else kind
    return f"version {', '.join(sorted((thing.key.name for thing in things), key=int))}"


def _rooms(decided: Plan) -> Table:
    capped = f" of {size(decided.cap)} (cap_gb)" if decided.cap else ""
    drawn = Table(title=f"The home folder: {size(decided.total)}{capped}")
    drawn.add_column("where")
    drawn.add_column("size", justify="right")
    for name, taken in sorted(decided.rooms.items(), key=lambda item: -item[1]):
        if taken:
            drawn.add_row(name, size(taken))
    return drawn
