"""The signed heads of the chain of events: a file outside the database, so that what is cut off or written anew is found.

Whoever has changed something signs: each command when it ends, the controller from time to time. They take turns under a file lock,
so that the file only ever goes forward.
"""

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from treadle.errors import HeadsMissing, HeadsRestarted
from treadle.state import events
from treadle.state.events import Head
from treadle.state.store import Store

KEY_BYTES = 32
_TAIL = 4096
"""More bytes than a head has."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was checked: how many events follow from each other, how many signed heads they pass through, and the last of these."""

    events: int
    heads: int
    last: Head | None

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


def sign(store: Store, home: Path, *, at: float, before: int | None = None) -> Head | None:
    """Sign the end of the chain, unless it is signed already. Return the head that was written, if one was.

    Where no head is there although there are events (``before``: so many, that somebody else must have signed), the chain tells so.

    Raises:
        StoreUnavailable: the events cannot be read.
        OSError: the file cannot be written.
    """
    path = heads_file(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        last = _last_seq(path)
        if not last:
            _tell_beginning(store, before, at)
        with store.read() as conn:
            head = events.sign_head(conn, _key(home), at)
        if head is None or head.seq <= last:
            return None
        events.append_head(path, head)
        return head


def begin(store: Store, home: Path, *, at: float) -> None:
    """Begin an empty chain with an event that is signed at once, so that heads are there before anything else happens.

    A chain that is not empty stays as it is.
    """
    with store.write() as conn:
        events.lock(conn)
        fresh = not events.last_seq(conn)
        if fresh:
            events.append(conn, "audit.began", at=at, data={})
    if fresh:
        sign(store, home, at=at, before=0)


@contextmanager
def signed(store: Store, home: Path) -> Iterator[None]:
    """Sign at the end of the block what has happened in it. A failure of the block itself is told before one of signing."""
    before = _count(store)
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
        HeadsRestarted: they were gone, and what was signed since says nothing about what lies before.
    """
    path, key = heads_file(home), key_file(home)
    with FileLock(path.with_suffix(".lock")) if path.parent.is_dir() else nullcontext():
        # The heads first: what is signed after them is in the events that are read next.
        heads = events.read_heads(path, key.read_bytes()) if path.is_file() and key.is_file() else []
        gone = [name for name, there in (("file of signed heads", path), ("key that signs them", key)) if not there.is_file()]
    with store.read() as conn:
        count = events.verify(conn, heads)
        restarted = events.newest(conn, 1, kind="audit.restarted")
    if count and (gone or not heads):
        raise HeadsMissing(path.parent, count, gone or ["signed head"])
    if restarted:
        raise HeadsRestarted(restarted[0].seq, restarted[0].at, restarted[0].data["unsigned"])
    return Audit(count, len(heads), heads[-1] if heads else None)


def _tell_beginning(store: Store, before: int | None, at: float) -> None:
    """Record in the chain that heads begin only here although events lie ``before`` (None: all of them): those no head covers.

    Whether the heads were lost or taken away cannot be told any more; that they are not there must never go unseen.
    """
    with store.write() as conn:
        events.lock(conn)
        count = events.last_seq(conn) if before is None else before
        if count:
            events.append(conn, "audit.restarted", at=at, data={"unsigned": count})


def _sign_new(store: Store, home: Path, before: int) -> None:
    if _count(store) > before:
        sign(store, home, at=time.time(), before=before)


def _count(store: Store) -> int:
    with store.read() as conn:
        return events.last_seq(conn)


def _key(home: Path) -> bytes:
    """Return the key of a workspace; made at first use, readable by its owner alone. The caller holds the lock."""
    path = key_file(home)
    if not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
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
        with suppress(ValueError, TypeError, LookupError):
            return int(json.loads(line)["seq"])
    return 0
