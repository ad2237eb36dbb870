"""What was decided about a version, and why: the only thing that lets a version take a role. Insert-only."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, insert, select

from treadle.spec import canonical_json
from treadle.state import events
from treadle.state.schema import verdicts

Kind = Literal["gate", "canary"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement of the bundle ``digest`` under the policy ``policy_digest``; ``reasons`` are full sentences."""

    id: str
    model: str
    version: int
    digest: str
    kind: Kind
    passed: bool
    reasons: tuple[str, ...]
    policy_digest: str
    evidence: dict[str, Any]
    at: float


def record(conn: Connection, verdict: Verdict) -> Verdict:
    """Insert ``verdict``; if one with its id is there already, return that one unchanged."""
    events.lock(conn)
    there = get(conn, verdict.id)
    if there is not None:
        return there
    content = {"reasons": canonical_json(verdict.reasons).decode(), "evidence": canonical_json(verdict.evidence).decode()}
    conn.execute(insert(verdicts).values(**asdict(verdict) | content))
    told = {key: value for key, value in asdict(verdict).items() if key not in {"model", "at", "evidence"}}
    events.append(conn, "verdict.recorded", at=verdict.at, model=verdict.model, data=told)
    return verdict


def get(conn: Connection, verdict_id: str) -> Verdict | None:
    """Return the verdict with this id; None if there is none."""
    row = conn.execute(select(verdicts).where(verdicts.c.id == verdict_id)).mappings().first()
    return _read(row) if row else None


def latest(conn: Connection, model: str, version: int | None, kind: Kind, *, until: float = math.inf) -> Verdict | None:
    """Return the last verdict of ``kind`` on a version (None: on any of the model) up to ``until``; None if there is none."""
    fitting = [verdicts.c.model == model, verdicts.c.kind == kind]
    fitting += [verdicts.c.version == version] if version is not None else []
    fitting += [verdicts.c.at <= until] if until < math.inf else []
    row = conn.execute(select(verdicts).where(*fitting).order_by(verdicts.c.at.desc(), verdicts.c.id.desc()).limit(1)).mappings().first()
    return _read(row) if row else None


def _read(row: RowMapping) -> Verdict:
    return Verdict(**{**row, "reasons": tuple(json.loads(row["reasons"])), "evidence": json.loads(row["evidence"])})
