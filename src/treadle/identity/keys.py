"""The keys of a workspace: a file of hashes, and the ring of those that are valid now."""

import hmac
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from filelock import FileLock

from treadle.errors import KeyLimitInvalid, KeyNameInvalid, KeyNotFound, KeysInvalid, KeyTaken, RolesInvalid
from treadle.identity.rate import Limit
from treadle.identity.who import Identity
from treadle.settings import ROLES, Role

PREFIX = "tk_"
TOKEN_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+-]{0,98}[A-Za-z0-9])?")
"""Plain letters alone: two names that look alike must not be two people."""

HIGHEST_RATE = 100_000
"""Requests per second; a worker answers fewer."""

SLOTS = 1_000_000
"""How many places there can be for the buckets of keys."""

PLACE = 8
"""Bytes of a hash by which its holder is looked up."""

OLD_ROLES: dict[str, tuple[Role, ...]] = {
    "viewer": ("predict", "label"),
    "approver": ("predict", "label", "operate", "approve"),
    "admin": ROLES,
}
"""What the one role of a key meant before keys had sets of them: nobody loses what he could do."""


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One key that was given out; ``hash`` is the SHA-256 (hex) of its token, moments are in epoch seconds.

    ``previous`` is the hash of the token before the last rotation, which is valid until ``previous_until``. A key with a limit has a
    ``slot``: the place of its bucket among those that the workers of a host share.
    """

    name: str
    roles: tuple[Role, ...]
    hash: str
    added_at: float
    rate: float | None = None
    burst: int | None = None
    slot: int | None = None
    rotated_at: float | None = None
    previous: str = ""
    previous_until: float = 0.0

    @property
    def limit(self) -> Limit | None:
        """How often it may be shown; None: as often as one likes."""
        return Limit(self.rate, self.burst) if self.rate and self.burst else None


def same(one: str, other: str) -> bool:
    """Tell whether two names are one person, by whatever way each came."""
    return one.casefold() == other.casefold()


def hash_of(token: str) -> str:
    """Return what is kept of a token. It is 256 random bits, so that one round of SHA-256 is enough."""
    return sha256(token.encode()).hexdigest()


def roles_of(names: Iterable[str]) -> tuple[Role, ...]:
    """Return these roles in their order, each once; admin brings all others with it.

    Raises:
        RolesInvalid: one of them is no role, or there is none.
    """
    given = set(names)
    if not given or not given <= set(ROLES):
        raise RolesInvalid(sorted(given), ROLES)
    return ROLES if "admin" in given else tuple(role for role in ROLES if role in given)


class Holder(NamedTuple):
    """Whose a token is: the SHA-256 of the token, until when it is valid (None: until it is revoked), and what its bearer may."""

    digest: bytes
    until: float | None
    identity: Identity
    limit: Limit | None
    slot: int


class Keyring:
    """The keys of one reading of the file, found by their token; ``made`` says whether there was a file at all."""

    def __init__(self, keys: Sequence[Key] = (), *, made: bool = False) -> None:
        self.keys = tuple(keys)
        self.made = made
        self._holders = {holder.digest[:PLACE]: holder for key in keys for holder in _holders(key)}

    def find(self, token: bytes, clock: Callable[[], float] = time.time) -> Holder | None:
        """Return whose this token is at present (epoch seconds), or None.

        How long it takes tells nothing of how much of a token is right: a holder is looked up by the beginning of a hash that the
        caller cannot steer, and all of the hash is compared in the same time for everybody.
        """
        digest = sha256(token).digest()
        holder = self._holders.get(digest[:PLACE])
        if holder is None or not hmac.compare_digest(holder.digest, digest):
            return None
        return None if holder.until is not None and clock() >= holder.until else holder


def _holders(key: Key) -> Iterator[Holder]:
    identity, slot = Identity(key.name, "key", frozenset(key.roles)), key.slot or 0
    if key.previous:
        yield Holder(bytes.fromhex(key.previous), key.previous_until, identity, key.limit, slot)
    yield Holder(bytes.fromhex(key.hash), None, identity, key.limit, slot)


class Keys:
    """The keys of a workspace: ``keys.json`` in its home folder, which its owner alone can read."""

    def __init__(self, home: Path) -> None:
        self._path = home / "keys.json"
        self._read: tuple[tuple[int, int, int], Keyring] | None = None

    def ring(self) -> Keyring:
        """Return the keys as they are now. The file is read again only when it has changed.

        Raises:
            KeysInvalid: the file cannot be read.
        """
        try:
            state = self._path.stat()
        except FileNotFoundError:
            self._read = None
            return Keyring()
        except OSError as error:
            raise KeysInvalid(self._path, error.strerror or str(error)) from error
        stamp = state.st_mtime_ns, state.st_size, state.st_ino
        if self._read is None or self._read[0] != stamp:
            self._read = stamp, _read(self._path)
        return self._read[1]

    def known(self) -> Sequence[Key]:
        """Return every key, in the order in which they were created. Raises as ``ring`` does."""
        return self.ring().keys

    def create(self, name: str, roles: Iterable[str], *, rate: float | None = None, burst: int | None = None) -> str:
        """Make a key for ``name`` and return its token, which nothing can show again.

        Args:
            name: whom it names in the record.
            roles: what its bearer may do.
            rate: requests per second that it may be shown for, in the long run; None: no limit.
            burst: how many of them may come at once; None: those of one second, at least 1.

        Raises:
            KeyNameInvalid: the name could be taken for another one, or be none.
            RolesInvalid, KeyLimitInvalid: a role or a limit is not one that there can be.
            KeyTaken: somebody of this name has a key.
            KeysInvalid: the file cannot be read.
        """
        if not NAME.fullmatch(name):
            raise KeyNameInvalid(name)
        given, limit = roles_of(roles), limit_of(rate, burst)
        token = _token()
        with self._locked():
            known = self.known()
            if any(same(key.name, name) for key in known):
                raise KeyTaken(name)
            key = Key(name, given, hash_of(token), time.time())
            if limit is not None:
                key = msgspec.structs.replace(key, rate=limit.rate, burst=limit.burst, slot=_free_slot(known))
            self._write([*known, key])
        return token

    def rotate(self, name: str, *, overlap: float = 0) -> str:
        """Give the key of ``name`` a new token and return it. The one before is valid for ``overlap`` seconds more, any older one no more.

        Raises:
            KeyNotFound: nobody of this name has a key.
            KeysInvalid: the file cannot be read.
        """
        token, now = _token(), time.time()
        with self._locked():
            old = self._of(name)
            kept = {"previous": old.hash, "previous_until": now + overlap} if overlap > 0 else {"previous": "", "previous_until": 0.0}
            new = msgspec.structs.replace(old, hash=hash_of(token), rotated_at=now, **kept)
            self._write([new if key is old else key for key in self.known()])
        return token

    def revoke(self, name: str) -> None:
        """Take the key of ``name`` away; it is refused from now on.

        Raises:
            KeyNotFound: nobody of this name has one.
            KeysInvalid: the file cannot be read.
        """
        with self._locked():
            gone = self._of(name)
            self._write([key for key in self.known() if key is not gone])

    def _of(self, name: str) -> Key:
        known = self.known()
        found = next((key for key in known if same(key.name, name)), None)
        if found is None:
            raise KeyNotFound(name, [key.name for key in known])
        return found

    def _locked(self) -> FileLock:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self._path.with_suffix(".lock"))

    def _write(self, keys: Sequence[Key]) -> None:
        """Replace the file in one step; a temporary file is made for its owner alone."""
        with tempfile.NamedTemporaryFile("w", dir=self._path.parent, prefix=".keys-", delete=False, encoding="utf-8") as file:
            json.dump(msgspec.to_builtins(keys), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(self._path)


def limit_of(rate: float | None, burst: int | None) -> Limit | None:
    """Return the limit that these two numbers make; None where there is none.

    Raises:
        KeyLimitInvalid: they make none.
    """
    if rate is None and burst is None:
        return None
    if rate is not None and 0 < rate <= HIGHEST_RATE:
        burst = max(int(rate), 1) if burst is None else burst
        if 0 < burst <= HIGHEST_RATE:
            return Limit(rate, burst)
    raise KeyLimitInvalid(str(rate), str(burst), HIGHEST_RATE)


def _free_slot(known: Sequence[Key]) -> int:
    """Return the lowest place of a bucket that no key has."""
    taken = {key.slot for key in known}
    return next(number for number in range(len(known) + 1) if number not in taken)


def _token() -> str:
    return PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def _read(path: Path) -> Keyring:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        keys = msgspec.convert([_with_roles(one) for one in content], tuple[Key, ...])
        for key in keys:
            _require_sound(key)
        return Keyring(keys, made=True)
    except (OSError, ValueError, TypeError, RecursionError, msgspec.ValidationError, RolesInvalid, KeyLimitInvalid) as error:
        raise KeysInvalid(path, str(error).splitlines()[0].rstrip(".")) from error


def _with_roles(one: dict[str, Any]) -> dict[str, Any]:
    """Return an entry as it is written today; one of an older Treadle has one role."""
    if "role" not in one:
        return one
    return {key: value for key, value in one.items() if key != "role"} | {"roles": OLD_ROLES.get(one["role"], [one["role"]])}


def _require_sound(key: Key) -> None:
    """Refuse what a hand has written and no command would have.

    Raises:
        RolesInvalid, KeyLimitInvalid, ValueError: a role, a limit or a hash is none.
    """
    roles_of(key.roles)
    if (limit_of(key.rate, key.burst) is None) != (key.slot is None) or not 0 <= (key.slot or 0) < SLOTS:
        message = f"the limit of {key.name} and its slot do not fit together"
        raise ValueError(message)
    if any(len(bytes.fromhex(hashed)) != sha256().digest_size for hashed in (key.hash, *filter(None, (key.previous,)))):
        message = f"the hash of {key.name} is no SHA-256"
        raise ValueError(message)
