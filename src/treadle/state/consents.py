"""What people have said about a version that the gate let pass: yes or no, with a reason. Insert-only.

A consent is about one verdict and the bundle that was judged: a new verdict asks anew, but a refusal follows the bundle.
"""

import re
import uuid
from dataclasses import asdict, dataclass, field
from typing import Literal

from sqlalchemy import Connection, RowMapping, insert, select

from treadle.errors import ReasonMissing
from treadle.state import events
from treadle.state.schema import consents
from treadle.state.verdicts import Verdict

Decision = Literal["approve", "reject"]

WORD = r"\w"
"""What a reason has in it at least, as a pattern: a letter or a digit of any script."""

REASON_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class Consent:
    """What one person has said about a verdict and the bundle ``digest``; ``source`` is how the name was known, ``at`` in epoch seconds."""

    id: str
    model: str
    version: int
    digest: str
    verdict: str
    decision: Decision
    reason: str
    actor: str
    source: str
    at: float


@dataclass(frozen=True, slots=True)
class Word:
    """What one person says, before it is known of which verdict; ``id`` makes saying it twice one."""

    decision: Decision
    reason: str
    actor: str
    source: str
    at: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def on(self, verdict: Verdict) -> Consent:
        """Return this word about ``verdict``."""
        what = verdict.model, verdict.version, verdict.digest, verdict.id
        return Consent(self.id, *what, self.decision, self.reason, self.actor, self.source, self.at)


def why(what: str, reason: object) -> str:
    """Return the reason for ``what`` as it is kept: one line without characters that a terminal would obey.

    Raises:
        ReasonMissing: there is no word in it.
    """
    if not isinstance(reason, str) or not re.search(WORD, reason):
        raise ReasonMissing(what)
    return "".join(character for character in " ".join(reason.split()) if character.isprintable())[:REASON_LENGTH].strip()


def give(conn: Connection, consent: Consent) -> Consent:
    """Insert ``consent`` with its event; if one with its id is there already, return that one unchanged."""
    events.lock(conn)
    there = conn.execute(select(consents).where(consents.c.id == consent.id)).mappings().first()
    if there is not None:
        return _read(there)
    conn.execute(insert(consents).values(**asdict(consent)))
    told = {key: value for key, value in asdict(consent).items() if key not in {"model", "actor", "at"}}
    agreed = consent.decision == "approve"
    events.append(
        conn, "consent.given" if agreed else "consent.refused", at=consent.at, model=consent.model, actor=consent.actor, data=told
    )
    return consent


def on(conn: Connection, verdict_id: str) -> list[Consent]:
    """Return what was said about a verdict, oldest first."""
    said = select(consents).where(consents.c.verdict == verdict_id).order_by(consents.c.at, consents.c.id)
    return [_read(row) for row in conn.execute(said).mappings()]


def about(conn: Connection, model: str, digest: str) -> list[Consent]:
    """Return what was said about a bundle of a model under whichever verdict, oldest first."""
    mine = (consents.c.model == model, consents.c.digest == digest)
    return [_read(row) for row in conn.execute(select(consents).where(*mine).order_by(consents.c.at, consents.c.id)).mappings()]


def _read(row: RowMapping) -> Consent:
    return Consent(**row)
