"""Which version of a model has which role and how much traffic: insert-only generations, of which the last one counts.

To change a deployment is to insert generation n + 1; whoever inserts second has lost and is told so. A rollback inserts the
content of an older generation as a new one, so that the record only ever grows.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, func, select

from treadle.errors import GenerationConflict, NotDeployed, NothingToRollBack, SlotsInvalid
from treadle.spec import canonical_json
from treadle.state import events
from treadle.state.schema import deployment

Role = Literal["champion", "canary", "arm", "fallback"]
Slots = tuple["Slot", ...]

PINNED = "pinned"
"""The role in which the log has a version that answered a caller who named it: such a call is no sample of traffic."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One version in one role; ``digest`` is its bundle's, ``weight`` its share of the traffic (0 to 1)."""

    role: Role
    version: int
    digest: str
    weight: float


@dataclass(frozen=True, slots=True)
class Deployment:
    """One generation of one model's deployment. ``verdict`` is the id of the verdict that permitted it."""

    model: str
    generation: int
    slots: Slots
    reason: str
    verdict: str | None
    actor: str
    at: float

    @property
    def champion(self) -> Slot | None:
        """The version that answers unless something else is said."""
        return self._in_role("champion")

    @property
    def canary(self) -> Slot | None:
        """The challenger that meets a part of the traffic."""
        return self._in_role("canary")

    @property
    def arms(self) -> Slots:
        """The versions that an A/B test compares with the champion; empty while there is none."""
        return tuple(slot for slot in self.slots if slot.role == "arm")

    @property
    def fallback(self) -> Slot | None:
        """The former champion, which answers when the champion fails."""
        return self._in_role("fallback")

    def _in_role(self, role: Role) -> Slot | None:
        return next((slot for slot in self.slots if slot.role == role), None)


def current(conn: Connection, model: str) -> Deployment | None:
    """Return the last generation of ``model``; None if it was never deployed."""
    row = conn.execute(select(deployment).where(deployment.c.model == model).order_by(deployment.c.generation.desc()).limit(1)).first()
    return _read(row) if row else None


def require(conn: Connection, model: str) -> Deployment:
    """Return the last generation of ``model``.

    Raises:
        NotDeployed: it was never deployed.
    """
    found = current(conn, model)
    if found is None:
        raise NotDeployed(model)
    return found


def current_all(conn: Connection) -> dict[str, Deployment]:
    """Return the last generation of every model."""
    last = select(deployment.c.model, func.max(deployment.c.generation).label("generation")).group_by(deployment.c.model).subquery()
    same = and_(deployment.c.model == last.c.model, deployment.c.generation == last.c.generation)
    rows = conn.execute(select(deployment).join(last, same).order_by(deployment.c.model))
    return {row.model: _read(row) for row in rows}


def generations(conn: Connection) -> dict[str, int]:
    """Return the number of the last generation of every model, from the key alone: cheap enough to ask several times a second."""
    rows = conn.execute(select(deployment.c.model, func.max(deployment.c.generation).label("generation")).group_by(deployment.c.model))
    return {row.model: row.generation for row in rows}


def history(conn: Connection, model: str) -> list[Deployment]:
    """Return every generation of ``model``, oldest first."""
    return [_read(row) for row in conn.execute(select(deployment).where(deployment.c.model == model).order_by(deployment.c.generation))]


def champion_since(conn: Connection, model: str) -> float:
    """Return when (epoch seconds) the present champion took its role; minus infinity if there is none."""
    since, digest = -math.inf, None
    for item in history(conn, model):
        if item.champion is not None and item.champion.digest != digest:
            since, digest = item.at, item.champion.digest
    return since


def insert(  # noqa: PLR0913 - the columns of the row, all by name
    conn: Connection,
    model: str,
    *,
    expected: int,
    slots: Sequence[Slot],
    reason: str,
    at: float,
    verdict: str | None = None,
    actor: str = "treadle",
) -> Deployment:
    """Insert generation ``expected`` + 1 (0: there is none yet) and its event ``deployment.changed``.

    Raises:
        GenerationConflict: the current generation is not ``expected``: somebody else was first.
        SlotsInvalid: the roles and weights do not add up.
    """
    made = Deployment(model, expected + 1, tuple(slots), reason, verdict, actor, at)
    _require_valid(model, made.slots)
    events.lock(conn)
    actual = conn.execute(select(func.max(deployment.c.generation)).where(deployment.c.model == model)).scalar() or 0
    if actual != expected:
        raise GenerationConflict(model, expected, actual)
    told: dict[str, Any] = {"generation": made.generation, "slots": list(map(asdict, slots)), "reason": reason, "verdict": verdict}
    row = {**told, "slots": canonical_json(told["slots"]).decode(), "model": model, "actor": actor, "at": at}
    conn.execute(deployment.insert().values(row))
    events.append(conn, "deployment.changed", at=at, model=model, actor=actor, data=told)
    return made


def rollback(  # noqa: PLR0913 - as insert
    conn: Connection, model: str, *, expected: int, reason: str, at: float, actor: str = "treadle", to: int | None = None
) -> Deployment:
    """Insert the content of an older generation, with the verdict that permitted it then, as a new generation.

    ``to`` names the generation; by default it is the last one with another champion that sends nothing to the present one.

    Raises:
        NothingToRollBack: there is no such generation.
        GenerationConflict: the current generation is not ``expected``.
    """
    events.lock(conn)
    known = history(conn, model)
    back = before(known) if to is None else next((item for item in known[:-1] if item.generation == to), None)
    if back is None:
        raise NothingToRollBack(model, to, [item.generation for item in known[:-1]])
    told = f"Back to generation {back.generation}: {reason}"
    # A canary of then has no turn that watches it now, and an A/B test of then nobody who waits for it.
    return insert(conn, model, expected=expected, slots=settled(back), reason=told, at=at, verdict=back.verdict, actor=actor)


def before(known: Sequence[Deployment]) -> Deployment | None:
    """Return the generation that a rollback goes back to by default, of all of one model's, oldest first; None if there is none.

    It is the last one with another champion than the present one that sends nothing to that one.
    """
    return next((item for item in reversed(known[:-1]) if _is_before(item, known[-1])), None)


def promoted(present: Deployment | None, slot: Slot) -> Slots:
    """Return the slots after ``slot``'s version takes all traffic: the old champion is kept as the fallback, the rest goes."""
    champion = Slot("champion", slot.version, slot.digest, 1.0)
    before = [] if present is None else [present.champion, present.fallback]
    fallback = next((old for old in before if old is not None and old.digest != champion.digest), None)
    return (champion,) if fallback is None else (champion, Slot("fallback", fallback.version, fallback.digest, 0.0))


def with_canary(present: Deployment, version: int, digest: str, weight: float) -> Slots:
    """Return the slots with a canary of ``weight``, taken from the champion; a canary that is there is replaced."""
    slots = without_canary(present)
    return (
        *(Slot(slot.role, slot.version, slot.digest, slot.weight - weight) if slot.role == "champion" else slot for slot in slots),
        Slot("canary", version, digest, weight),
    )


def without_canary(present: Deployment) -> Slots:
    """Return the slots without a canary; its weight goes back to the champion."""
    others = sum(slot.weight for slot in present.slots if slot.role == "arm")
    return tuple(
        Slot("champion", slot.version, slot.digest, 1.0 - others) if slot.role == "champion" else slot
        for slot in present.slots
        if slot.role != "canary"
    )


def with_arms(present: Deployment, arms: Sequence[Slot]) -> Slots:
    """Return the slots with exactly these arms; the champion has what they leave, and a canary goes."""
    rest = 1.0 - math.fsum(arm.weight for arm in arms)
    kept = [slot for slot in settled(present) if slot.role != "champion"]
    champion = (Slot("champion", slot.version, slot.digest, rest) for slot in present.slots if slot.role == "champion")
    return (*champion, *arms, *kept)


def settled(present: Deployment) -> Slots:
    """Return the slots without a canary and without arms: the champion has all traffic."""
    return tuple(
        Slot("champion", slot.version, slot.digest, 1.0) if slot.role == "champion" else slot
        for slot in present.slots
        if slot.role in {"champion", "fallback"}
    )


def ab_since(known: Sequence[Deployment]) -> float | None:
    """Return when (epoch seconds) the A/B test began that runs now, of all generations of one model, oldest first; None if none runs.

    A test is one champion with the same arms and weights: where one of them changes another test begins, because rows of before and after
    cannot be added up.
    """
    if not known or not known[-1].arms:
        return None
    now, since = _tested(known[-1]), known[-1].at
    for item in reversed(known):
        if _tested(item) != now:
            break
        since = item.at
    return since


def _tested(item: Deployment) -> frozenset[tuple[str, str, float]]:
    return frozenset((slot.role, slot.digest, slot.weight) for slot in item.slots if slot.weight > 0)


def _is_before(older: Deployment, present: Deployment) -> bool:
    """Tell whether ``older`` has another champion than ``present`` and sends that one nothing."""
    digest = present.champion.digest if present.champion else None
    return all(slot.digest != digest for slot in older.slots if slot.weight > 0)


def _require_valid(model: str, slots: Slots) -> None:
    roles = [slot.role for slot in slots]
    if roles.count("champion") != 1:
        raise SlotsInvalid(model, f"it has {roles.count('champion')} champions, not one")
    if roles.count("canary") > 1 or roles.count("fallback") > 1:
        raise SlotsInvalid(model, "it has more than one canary or fallback")
    if any(slot.weight != 0 for slot in slots if slot.role == "fallback"):
        raise SlotsInvalid(model, "its fallback has a weight, but it only answers when the champion fails")
    if any(not 0 <= slot.weight <= 1 for slot in slots):
        raise SlotsInvalid(model, f"a weight lies outside 0 to 1: {[slot.weight for slot in slots]}")
    if not math.isclose(sum(slot.weight for slot in slots), 1.0, abs_tol=1e-9):
        raise SlotsInvalid(model, f"its weights add up to {sum(slot.weight for slot in slots)}, not 1")


def _read(row: Row[Any]) -> Deployment:
    slots = tuple(Slot(**slot) for slot in json.loads(row.slots))
    return Deployment(row.model, row.generation, slots, row.reason, row.verdict, row.actor, row.at)
