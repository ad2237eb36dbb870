"""What may go, and what stays because of what. Pure: an inventory, policies and a time in, a plan out.

Two things keep a thing. A *hold* comes from the state (a role, an open turn, a training that runs) and nothing overrides
it. A *wish* comes from the policy (the newest versions, an age), and a full disk overrides it. Both reach what the kept thing
names: a kept version keeps its bundle, its run and its snapshot.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from treadle.retention.things import SWEPT, Hold, Inventory, Key, Thing
from treadle.spec import RetentionPolicy
from treadle.times import span

GRACE = 3600.0
"""Seconds for which what was just made stays, whatever names it: its maker may still be about to name it."""

Reasons = dict[Key, str]


@dataclass(frozen=True)
class Removal:
    """One thing that goes, and why in a sentence."""

    thing: Thing
    reason: str


@dataclass(frozen=True)
class Kept:
    """One thing that stays. ``held``: because something names it or needs it, not only because the policy wishes so."""

    thing: Thing
    by: str
    held: bool


@dataclass(frozen=True)
class Plan:
    """What goes, in the order of a sweep, and what stays; sizes in bytes. ``cap`` is 0 where there is none."""

    removals: tuple[Removal, ...]
    kept: tuple[Kept, ...]
    total: int
    cap: int
    rooms: Mapping[str, int]
    missing: tuple[str, ...]

    @property
    def freed(self) -> int:
        """How many bytes go."""
        return sum(removal.thing.size for removal in self.removals)

    @property
    def over(self) -> int:
        """By how many bytes the home folder lies above its cap even after the sweep."""
        return max(0, self.total - self.freed - self.cap) if self.cap else 0


def plan(inventory: Inventory, policies: Mapping[str, RetentionPolicy], *, now: float, cap: int = 0, downloads: bool = False) -> Plan:
    """Decide what goes.

    Args:
        inventory: what there is, and what the state holds.
        policies: by model; what belongs to a model without one stays.
        now: the time, in epoch seconds.
        cap: largest size of the home folder in bytes, 0 for none. Above it the oldest things that nothing holds go too.
        downloads: whether downloaded files may go.
    """
    things = {thing.key: thing for thing in inventory.things}
    held = _closure(things, _holds(inventory, policies, now, downloads=downloads))
    wishes = {hold.key: hold.by for hold in _wishes(inventory.things, policies, now) if hold.key not in held}
    kept = _closure(things, [Hold(*wish) for wish in wishes.items()])
    room = inventory.total - sum(thing.size for key, thing in things.items() if key not in held and key not in kept)
    crowded: set[Key] = set()
    for key in sorted(wishes, key=lambda one: (things[one].at, one)):
        if not cap or room <= cap:
            break
        crowded |= {key}
        del wishes[key]
        before, kept = kept, _closure(things, [Hold(*wish) for wish in wishes.items()])
        room -= sum(things[gone].size for gone in before.keys() - kept.keys() - held.keys())
    going = [thing for key, thing in things.items() if key not in held and key not in kept]
    named = _named_by(going)
    removals = [Removal(thing, _reason(thing, policies[thing.key.model] if thing.key.model else None, crowded, named)) for thing in going]
    return Plan(
        tuple(sorted(removals, key=lambda one: (SWEPT.index(one.thing.key.kind), one.thing.key.model, one.thing.at, one.thing.key))),
        tuple(_kept(things.values(), held, kept)),
        inventory.total,
        cap,
        inventory.rooms,
        inventory.missing,
    )


def horizon(inventory: Inventory, model: str) -> float:
    """Return the time from which on the logged rows of a model are needed; infinity if none are."""
    return min((need.since for need in inventory.needs if need.model == model), default=float("inf"))


def _holds(inventory: Inventory, policies: Mapping[str, RetentionPolicy], now: float, *, downloads: bool) -> Iterator[Hold]:
    """Yield what nothing overrides."""
    yield from inventory.holds
    newest = _newest(inventory.things)
    for thing in inventory.things:
        kind, model = thing.key.kind, thing.key.model
        if model and model not in policies:
            yield Hold(thing.key, f"the policy of {model} cannot be read")
        if kind == "log":
            needed = min((need for need in inventory.needs if need.model == model), key=lambda one: one.since, default=None)
            if needed is not None and thing.at > needed.since:
                yield Hold(thing.key, needed.by)
        elif now - thing.at < GRACE:
            yield Hold(thing.key, "it was just made")
        if kind == "download" and not downloads:
            yield Hold(thing.key, "downloads go only when asked for (--downloads)")
        if thing.key in newest.get(model, ())[:1]:
            yield Hold(thing.key, "the newest version")


def _wishes(things: Iterable[Thing], policies: Mapping[str, RetentionPolicy], now: float) -> Iterator[Hold]:
    """Yield what the policies ask to keep."""
    known = list(things)
    named = _named_by(known)
    newest = _newest(known)
    for thing in known:
        policy = policies.get(thing.key.model)
        if policy is None:
            continue
        if thing.key in newest.get(thing.key.model, ())[: policy.versions]:
            yield Hold(thing.key, f"one of the {policy.versions} newest versions (retention.versions)")
        elif thing.key.kind == "log" and thing.at > now - policy.log:
            yield Hold(thing.key, f"younger than {span(policy.log)} (retention.log)")
        elif thing.key.kind in {"run", "bundle", "snapshot", "training log"} and thing.key not in named and thing.at > now - policy.runs:
            yield Hold(thing.key, f"younger than {span(policy.runs)} (retention.runs)")


def _newest(things: Iterable[Thing]) -> dict[str, list[Key]]:
    """Return the versions of each model, newest first."""
    found: dict[str, list[Key]] = {}
    for key in sorted((thing.key for thing in things if thing.key.kind == "version"), key=lambda key: -int(key.name)):
        found.setdefault(key.model, []).append(key)
    return found


def _named_by(things: Iterable[Thing]) -> dict[Key, Key]:
    """Return, for each thing that is named, one that names it: a version rather than what a version names."""
    found: dict[Key, Key] = {}
    for thing in things:
        for named in thing.refers:
            if named not in found or thing.key.kind == "version":
                found[named] = thing.key
    return found


def _closure(things: Mapping[Key, Thing], holds: Iterable[Hold]) -> Reasons:
    """Return what is kept with its reason: what is held, and what that names, to the end."""
    reasons: Reasons = {}
    ahead = deque(holds)
    while ahead:
        key, by = ahead.popleft()
        if key in things and key not in reasons:
            reasons[key] = by
            ahead += [Hold(named, f"named by {key}") for named in things[key].refers]
    return reasons


def _kept(things: Iterable[Thing], held: Reasons, wished: Reasons) -> Iterator[Kept]:
    for thing in things:
        if thing.key in held:
            yield Kept(thing, held[thing.key], held=True)
        elif thing.key in wished:
            yield Kept(thing, wished[thing.key], held=False)


def _reason(thing: Thing, policy: RetentionPolicy | None, crowded: set[Key], named: Mapping[Key, Key]) -> str:
    if thing.key in crowded:
        return "The home folder is above its cap (cap_gb), and nothing needs this."
    if thing.key in named:
        return f"It goes with {named[thing.key]}."
    if policy is None or thing.key.kind == "leftover":
        return "Downloads were asked for." if thing.key.kind == "download" else "Its maker did not finish."
    reasons = {
        "version": f"It has no role and is not among the {policy.versions} newest (retention.versions).",
        "log": f"It is older than {span(policy.log)} (retention.log).",
    }
    return reasons.get(thing.key.kind, f"Nothing names it, and it is older than {span(policy.runs)} (retention.runs).")
