"""The signed heads of the chain of events: a file outside the database, so that what is cut off or written anew is found.

Whoever writes into a store begins its record first; whoever has changed something signs: each command when it ends, the controller from
time to time. They take turns under a file lock, so that the file only ever goes forward.
"""

import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from sqlalchemy import Connection

from treadle.errors import HeadsMissing, HeadsRestarted, ReasonMissing, RestartUnknown
from treadle.spec import canonical_json
from treadle.state import events
from treadle.state.events import Event, Head
from treadle.state.store import Store

KEY_BYTES = 32
_TAIL = 4096
"""More bytes than a head has."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Where the heads begin anew, and who has accepted that no head vouches for the ``unsigned`` events before ``seq``."""

    seq: int
    at: float
    unsigned: int
    actor: str
    accepted_at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What was checked: how many events follow from each other, how many signed heads they pass through, and the last of these.

    ``restart``: the heads were lost once, and somebody has accepted it.
    """

    events: int
    heads: int
    last: Head | None
    restart: Restart | None = None

    @property
    def unsigned(self) -> int:
        """How many events no head covers yet."""
        return self.events - (self.last.seq if self.last else 0)


def heads_file(home: Path) -> Path:
    """Return where the heads of a workspace stand."""
    return home / "audit" / "heads.jsonl"


def key_file(home: Path) -> Path:
    """Return where the key stands that signs them."""
    return home / "audit" / "key"


def begin(store: Store, home: Path, *, at: float) -> int:
    """Begin an empty chain with an event that is signed at once, so that heads are there before anything else happens.

    Whoever opens a store to write calls it first. Return the number of the last event; a chain that goes on costs this one read.

    Raises:
        StoreUnavailable: the events cannot be read or written.
        OSError: the file of heads cannot be written.
    """
    count = _count(store)
    if count > 1:
        return count
    path = heads_file(home)
    # Whoever sees the first event and wants to sign waits here until its head stands. A process that died in between is made up for:
    # while there is one event only, each that comes looks whether it is signed.
    with _locked(path):
        with store.write() as conn:
            events.lock(conn)
            first = events.after(conn, 0, limit=2) or [events.append(conn, "audit.began", at=at, data={})]
        if [event.kind for event in first] == ["audit.began"] and not _last_seq(path):
            _sign(store, home, at)
    return first[-1].seq


def sign(store: Store, home: Path, *, at: float, before: int | None = None) -> Head | None:
    """Sign the end of the chain, unless it is signed already. Return the head that was written, if one was.

    Where no head is there although there are events that somebody must have signed, the chain tells so. ``before``: how many events are
    older than the work that is signed here; 0: it has made them all.

    Raises:
        StoreUnavailable: the events cannot be read.
        OSError: the file cannot be written.
    """
    path = heads_file(home)
    with _locked(path):
        if path.exists() and not key_file(home).exists():
            # Nobody can check these heads any more, and under a new key they would be taken for forged ones.
            path.rename(path.with_name(f"heads-{int(at)}.jsonl"))
        if not _last_seq(path):
            _tell_restart(store, home, at, before)
        return _sign(store, home, at)


@contextmanager
def signed(store: Store, home: Path) -> Iterator[None]:
    """Begin the record of a store to write into, and sign at the end of the block what has happened in it.

    A failure of the block itself is told before one of signing.
    """
    before = begin(store, home, at=time.time())
    try:
        yield
    except BaseException:
        with suppress(Exception):
            _sign_new(store, home, before)
        raise
    _sign_new(store, home, before)


def audit(store: Store, home: Path) -> Audit:
    """Check every event against the one before it, and the chain against its signed heads.

    Raises:
        ChainBroken: an event was edited or deleted, or the chain was cut or written anew.
        HeadsInvalid: the file of heads was edited, or belongs to another key.
        HeadsMissing: the heads or their key are gone.
        HeadsRestarted: they were gone, what was signed since says nothing about what lies before, and nobody has accepted that.
    """
    with _locked(heads_file(home)) if heads_file(home).parent.is_dir() else nullcontext():
        # The heads first: what is signed after them is in the events that are read next.
        heads = _read(home)
    return _checked(store, home, heads)


def accept(store: Store, home: Path, number: int, *, actor: str, reason: str, at: float) -> Audit:
    """Record that somebody accepts a loss of the heads, which is told by event ``number``. It must be the only thing that is wrong.

    It is signed with the key of the heads itself: who can only write the database cannot accept anything. It counts for this loss alone.
    Return what a check says from now on.

    Raises:
        ReasonMissing: the reason is empty.
        RestartUnknown: the last loss has another number or is accepted already, or there was none.
        ChainBroken, HeadsInvalid, HeadsMissing: as ``audit``.
    """
    if not reason.strip():
        raise ReasonMissing("accept that the signed heads begin anew")
    with _locked(heads_file(home)):
        try:
            _checked(store, home, _read(home))
        except HeadsRestarted as error:
            if error.seq != number:
                raise RestartUnknown(number, error.seq) from error
        else:
            raise RestartUnknown(number, None)
        key = _key(home)
        with store.write() as conn:
            events.lock(conn)
            restart = _restart(conn, key)
            if restart is None or restart.seq != number:
                raise RestartUnknown(number, restart.seq if restart else None)
            told = {"restart": number, "unsigned": number - 1, "reason": reason, "signature": _vouched(key, restart, actor, at, reason)}
            events.append(conn, "audit.accepted", at=at, actor=actor, data=told)
        _sign(store, home, at)
    return audit(store, home)


def _read(home: Path) -> list[Head]:
    """Return the signed heads; none where there are none, or no key. The caller holds the lock."""
    path, key = heads_file(home), key_file(home)
    return events.read_heads(path, key.read_bytes()) if path.is_file() and key.is_file() else []


def _checked(store: Store, home: Path, heads: Sequence[Head]) -> Audit:
    """Check the chain against ``heads``, and what it tells of their loss."""
    needed = (("file of signed heads", heads_file(home)), ("key that signs them", key_file(home)))
    gone = [name for name, there in needed if not there.is_file()]
    with store.read() as conn:
        count = events.verify(conn, heads)
        if count and (gone or not heads):
            raise HeadsMissing(heads_file(home).parent, count, gone or ["signed head"])
        if not count:
            return Audit(0, 0, None)
        key = key_file(home).read_bytes()
        restart = _restart(conn, key)
        accepted = _accepted(conn, key, restart) if restart else None
    if restart and not accepted:
        raise HeadsRestarted(restart.seq, restart.at)
    return Audit(count, len(heads), heads[-1], accepted)


def _restart(conn: Connection, key: bytes) -> Event | None:
    """Return the last event that tells of a loss of the heads of this key; what another home on the same database lost is its own."""
    told = [event for event in events.newest(conn, None, kind="audit.restarted") if event.data.get("key", _name(key)) == _name(key)]
    return told[-1] if told else None


def _accepted(conn: Connection, key: bytes, restart: Event) -> Restart | None:
    """Return how a loss was accepted after it was told, if it was."""
    for event in events.newest(conn, None, kind="audit.accepted"):
        reason, signature = str(event.data.get("reason")), str(event.data.get("signature"))
        vouched = _vouched(key, restart, event.actor, event.at, reason)
        if event.seq > restart.seq and hmac.compare_digest(signature.encode(), vouched.encode()):
            return Restart(restart.seq, restart.at, restart.seq - 1, event.actor, event.at, reason)
    return None


def _vouched(key: bytes, restart: Event, actor: str, at: float, reason: str) -> str:
    """Return the signature under an acceptance. The hash of the loss is in it, so that it fits no other one."""
    content = ["audit.accepted", restart.seq, restart.hash, actor, float(at), reason]
    return hmac.new(key, canonical_json(content), hashlib.sha256).hexdigest()


def _name(key: bytes) -> str:
    """Return a name of the key that says nothing about it."""
    return hmac.new(key, b"name", hashlib.sha256).hexdigest()[:16]


def _tell_restart(store: Store, home: Path, at: float, before: int | None) -> None:
    """Record in the chain that heads begin only here although events lie before: how many.

    Whether the heads were lost or taken away cannot be told any more; that they are not there must never go unseen.
    """
    with store.write() as conn:
        events.lock(conn)
        count = events.last_seq(conn)
        if count and before != 0:
            events.append(conn, "audit.restarted", at=at, data={"unsigned": count, "key": _name(_key(home))})


def _sign(store: Store, home: Path, at: float) -> Head | None:
    """Write the head of the chain, unless it stands there. The caller holds the lock."""
    path = heads_file(home)
    with store.read() as conn:
        head = events.sign_head(conn, _key(home), at)
    if head is None or head.seq <= _last_seq(path):
        return None
    # A head that outlives its events after a power cut would be taken for a proof that they were cut off.
    store.flush()
    events.append_head(path, head)
    return head


def _sign_new(store: Store, home: Path, before: int) -> None:
    if _count(store) > before:
        sign(store, home, at=time.time(), before=before)


def _count(store: Store) -> int:
    with store.read() as conn:
        return events.last_seq(conn)


def _locked(path: Path) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_suffix(".lock"))


def _key(home: Path) -> bytes:
    """Return the key of a workspace; made at first use, readable by its owner alone. The caller holds the lock."""
    path = key_file(home)
    if not path.exists():
        # Whole or not at all: with the empty key that a kill could leave anybody can sign.
        half = path.with_name("key.new")
        half.unlink(missing_ok=True)
        handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        half.rename(path)
    return path.read_bytes()


def _last_seq(path: Path) -> int:
    """Return the number that the last line that can be read names, be a torn one behind it; 0 where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
            lines = file.read().splitlines()
    except OSError:
        return 0
    for line in reversed(lines):
        with suppress(ValueError, TypeError, LookupError, ArithmeticError):
            return int(json.loads(line)["seq"])
    return 0
