"""Who acts: a table of what is shown and who that is."""

import ipaddress
import os
import pwd
import time
from dataclasses import dataclass

from treadle.errors import KeyUnknown, NobodyNamed
from treadle.identity.keys import NAME, PREFIX, Keyring, Keys
from treadle.identity.who import Identity
from treadle.settings import KEY_VARIABLE, ROLES, Settings, Workspace


@dataclass(frozen=True, slots=True)
class Given:
    """What a caller shows: a key, the name in the proxy's header with the address that it came from, the user of the machine."""

    key: str | None = None
    header: str | None = None
    address: str | None = None
    os_user: str | None = None


def resolve(given: Given, ring: Keyring, settings: Settings, *, at: float) -> Identity:
    """Return who acts at a moment. A key wins over what a trusted proxy says, and that over the user of the machine.

    Raises:
        KeyUnknown: a key is given that nobody has.
        NobodyNamed: nothing that is given names anybody.
    """
    if given.key:
        holder = ring.find(given.key.encode(), lambda: at)
        if holder is None:
            raise unknown(given.key)
        return holder.identity
    if given.header:
        named = named_by_proxy(given.header, given.address, settings)
        if named is not None:
            return named
    if given.os_user:
        return Identity(given.os_user, "os", frozenset(ROLES))
    raise NobodyNamed(settings.identity_header, proxied=bool(settings.trusted_proxies))


def unknown(token: str) -> KeyUnknown:
    """Return the error that tells of a key that nobody has, without the key."""
    return KeyUnknown(token[: len(PREFIX) + 4])


def named_by_proxy(name: str, address: str | None, settings: Settings) -> Identity | None:
    """Return who is named in a proxy's header; None where ``address`` is no trusted proxy's, or the name is none."""
    if from_proxy(address, settings) and NAME.fullmatch(name):
        return Identity(name, "proxy", settings.roles_by_proxy)
    return None


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


# this machine


def acting(workspace: Workspace) -> Identity:
    """Return who runs this command: the bearer of TREADLE_KEY, or the user of the machine.

    That user has every role: he can write the files of the workspace.

    Raises:
        KeyUnknown: TREADLE_KEY holds no key of this workspace.
        KeysInvalid: the file of keys cannot be read.
    """
    given = Given(key=shown_key(), os_user=os_user())
    return resolve(given, Keys(workspace.home).ring() if given.key else Keyring(), workspace.settings, at=time.time())


def shown_key() -> str | None:
    """Return the key that TREADLE_KEY holds, if it holds one."""
    return os.environ.get(KEY_VARIABLE, "").strip() or None


def key_header() -> dict[str, str]:
    """Return the header that shows a service the key of TREADLE_KEY; none without one."""
    key = shown_key()
    return {"authorization": f"Bearer {key}"} if key else {}


def os_user() -> str:
    """Return the user of the machine by its number: LOGNAME and USER are whatever the caller likes."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
