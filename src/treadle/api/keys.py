"""Give out keys, by which people and programs say who they are: keys_create, keys_rotate, keys_revoke, keys_list."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from treadle.api.opening import Place, acting, found, opened

if TYPE_CHECKING:
    from treadle.identity import Key


def keys_create(
    name: str, *, roles: Sequence[str] = ("predict",), rate: float | None = None, burst: int | None = None, workspace: Place = None
) -> str:
    """Make a key for ``name`` and return its token. Only a hash of it is kept: it cannot be shown again.

    With the first key the API begins to ask for one.

    Args:
        name: whom it names in the record.
        roles: predict, label, operate (gate, promote, roll back, pause, gc, reset), approve (approve and reject), admin (all of it, and
            to give out keys).
        rate: requests per second that the API answers it, in the long run; without it, as many as come.
        burst: how many of them may come at once; without it, those of one second.
        workspace: where; without it, the workspace of the current folder.

    Raises:
        KeyNameInvalid, KeyTaken, RolesInvalid, KeyLimitInvalid: there cannot be such a key, or there is one.
        RoleMissing: you act by a key that is no admin's.
    """
    from treadle.identity import Keys
    from treadle.state import events

    with opened(workspace) as (place, store):
        who, keys = acting(place, "admin").name, Keys(place.home)
        token = keys.create(name, roles, rate=rate, burst=burst)
        made = keys.known()[-1]
        told = {"name": made.name, "roles": list(made.roles), "rate": made.rate, "burst": made.burst}
        with store.write() as conn:
            events.append(conn, "key.added", at=time.time(), actor=who, data=told)
        return token


def keys_rotate(name: str, *, overlap: float = 0, workspace: Place = None) -> str:
    """Give the key of ``name`` a new token and return it; roles and limit stay.

    Args:
        name: whose.
        overlap: for how many seconds the token before it is still good; without it, it is refused from now on.
        workspace: where; without it, the workspace of the current folder.

    Raises:
        KeyNotFound: there is none.
        RoleMissing: you act by a key that is no admin's.
    """
    from treadle.identity import Keys
    from treadle.state import events

    with opened(workspace) as (place, store):
        who = acting(place, "admin").name
        token = Keys(place.home).rotate(name, overlap=overlap)
        with store.write() as conn:
            events.append(conn, "key.rotated", at=time.time(), actor=who, data={"name": name, "overlap": overlap})
        return token


def keys_revoke(name: str, *, workspace: Place = None) -> None:
    """Take the key of ``name`` back: it is refused from now on. What was done with it stays in the record.

    The API goes on to ask for a key, also when this was the last one.

    Raises:
        KeyNotFound: there is none.
        RoleMissing: you act by a key that is no admin's.
    """
    from treadle.identity import Keys
    from treadle.state import events

    with opened(workspace) as (place, store):
        who = acting(place, "admin").name
        Keys(place.home).revoke(name)
        with store.write() as conn:
            events.append(conn, "key.removed", at=time.time(), actor=who, data={"name": name})


def keys_list(*, workspace: Place = None) -> "list[Key]":
    """Return every key that was given out, with the hash of its token."""
    from treadle.identity import Keys

    return list(Keys(found(workspace).home).known())
