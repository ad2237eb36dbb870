"""Who acts: the bearer of a key, the person whom a trusted proxy names, or the user of the machine.

Keys stand in ``keys.json`` in the home folder as SHA-256 hashes; the token itself is shown once, when it is made. What is decided here
is who somebody is and what he may do at all; whose consent a model needs is the model's policy.
"""

import hashlib
import ipaddress
import json
import os
import pwd
import re
import secrets
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from filelock import FileLock

from treadle.errors import KeyNameInvalid, KeyNotFound, KeysInvalid, KeyTaken, KeyUnknown, NobodyNamed, RoleMissing
from treadle.settings import KEY_VARIABLE, Settings, Workspace

Role = Literal["viewer", "approver", "admin"]
Source = Literal["key", "proxy", "os"]

ROLES: tuple[Role, ...] = get_args(Role)
"""From the least to the most; each may what those before it may."""

PREFIX = "tk_"
TOKEN_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+-]{0,98}[A-Za-z0-9])?")
"""Plain letters alone: two names that look alike must not be two people."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who acts; ``source`` says what proves the name."""

    name: str
    source: Source
    role: Role

    def may(self, role: Role) -> bool:
        """Tell whether this one may do what ``role`` may."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def require(self, role: Role) -> "Identity":
        """Return this identity.

        Raises:
            RoleMissing: it may not do what ``role`` may.
        """
        if not self.may(role):
            raise RoleMissing(self.name, self.role, role)
        return self


@dataclass(frozen=True, slots=True)
class Key:
    """One key that was given out; ``hash`` is the SHA-256 (hex) of its token, ``added_at`` in epoch seconds."""

    name: str
    role: Role
    hash: str
    added_at: float


@dataclass(frozen=True, slots=True)
class Given:
    """What a caller shows: a key, the name in the proxy's header with the address that it came from, the user of the machine."""

    key: str | None = None
    header: str | None = None
    address: str | None = None
    os_user: str | None = None


def resolve(given: Given, known: Sequence[Key], settings: Settings) -> Identity:
    """Return who acts. A key wins over what a trusted proxy says, and that over the user of the machine.

    Raises:
        KeyUnknown: a key is given that nobody has.
        NobodyNamed: nothing that is given names anybody.
    """
    if given.key:
        return _bearer(given.key, known)
    if given.header and from_proxy(given.address, settings) and NAME.fullmatch(given.header):
        return Identity(given.header, "proxy", settings.proxy_role)
    if given.os_user:
        return Identity(given.os_user, "os", "approver")
    raise NobodyNamed(settings.identity_header, proxied=bool(settings.trusted_proxies))


def _bearer(token: str, known: Sequence[Key]) -> Identity:
    hashed = hash_of(token)
    found = next((key for key in known if secrets.compare_digest(key.hash, hashed)), None)
    if found is None:
        raise KeyUnknown(token[: len(PREFIX) + 4])
    return Identity(found.name, "key", found.role)


def from_proxy(address: str | None, settings: Settings) -> bool:
    """Tell whether ``address`` is one whose word about the caller is believed."""
    if not address:
        return False
    try:
        seen = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(seen, ipaddress.IPv6Address):
        seen = seen.ipv4_mapped or seen
    return any(seen in network for network in settings.proxies)


def same(one: str, other: str) -> bool:
    """Tell whether two names are one person, by whatever way each came."""
    return one.casefold() == other.casefold()


def hash_of(token: str) -> str:
    """Return what is kept of a token. It is 256 random bits, so that one round of SHA-256 is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


# this machine


def acting(workspace: Workspace) -> Identity:
    """Return who runs this command: the bearer of TREADLE_KEY, or the user of the machine.

    Raises:
        KeyUnknown: TREADLE_KEY holds no key of this workspace.
        KeysInvalid: the file of keys cannot be read.
    """
    given = Given(key=os.environ.get(KEY_VARIABLE, "").strip() or None, os_user=os_user())
    return resolve(given, Keys(workspace.home).known() if given.key else (), workspace.settings)


def os_user() -> str:
    """Return the user of the machine by its number: LOGNAME and USER are whatever the caller likes."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


class Keys:
    """The keys of a workspace: ``keys.json`` in its home folder, which its owner alone can read."""

    def __init__(self, home: Path) -> None:
        self._path = home / "keys.json"
        self._read: tuple[tuple[int, int, int], Sequence[Key]] | None = None

    def known(self) -> Sequence[Key]:
        """Return every key, in the order in which they were added. The file is read again only when it has changed.

        Raises:
            KeysInvalid: the file cannot be read.
        """
        try:
            state = self._path.stat()
        except FileNotFoundError:
            return ()
        stamp = state.st_mtime_ns, state.st_size, state.st_ino
        if self._read is None or self._read[0] != stamp:
            self._read = stamp, _read(self._path)
        return self._read[1]

    def add(self, name: str, role: Role) -> str:
        """Make a key for ``name`` and return its token, which nothing can show again.

        Raises:
            KeyNameInvalid: the name could be taken for another one, or be none.
            KeyTaken: somebody of this name has a key.
            KeysInvalid: the file cannot be read.
        """
        if not NAME.fullmatch(name):
            raise KeyNameInvalid(name)
        token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        with self._locked():
            known = self.known()
            if any(same(key.name, name) for key in known):
                raise KeyTaken(name)
            self._write([*known, Key(name, role, hash_of(token), time.time())])
        return token

    def remove(self, name: str) -> None:
        """Take the key of ``name`` away; it is refused from now on.

        Raises:
            KeyNotFound: nobody of this name has one.
            KeysInvalid: the file cannot be read.
        """
        with self._locked():
            known = self.known()
            left = [key for key in known if not same(key.name, name)]
            if len(left) == len(known):
                raise KeyNotFound(name, [key.name for key in known])
            self._write(left)

    def _locked(self) -> FileLock:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self._path.with_suffix(".lock"))

    def _write(self, keys: Sequence[Key]) -> None:
        """Replace the file in one step; a temporary file is made for its owner alone."""
        with tempfile.NamedTemporaryFile("w", dir=self._path.parent, prefix=".keys-", delete=False, encoding="utf-8") as file:
            json.dump([asdict(key) for key in keys], file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(self._path)


def _read(path: Path) -> Sequence[Key]:
    try:
        found = tuple(Key(**one) for one in json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise KeysInvalid(path, str(error)) from error
    if any(key.role not in ROLES for key in found):
        raise KeysInvalid(path, f"a role is none of {', '.join(ROLES)}")
    return found
