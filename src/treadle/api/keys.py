"""Give out keys, by which people and programs say who they are: key_add, key_list, key_remove."""

import time
from typing import TYPE_CHECKING

from treadle.api.opening import Place, administering, found, opened

if TYPE_CHECKING:
    from treadle.identity import Key, Role


def key_add(name: str, *, role: "Role" = "approver", workspace: Place = None) -> str:
    """Make a key for ``name`` and return its token. Only a hash of it is kept: it cannot be shown again.

    Args:
        name: whom it names in the record.
        role: viewer, approver (may approve, reject, promote, pause) or admin (may give out keys as well).
        workspace: where; without it, the workspace of the current folder.

    Raises:
        KeyNameInvalid, KeyTaken: there cannot be a key of this name, or there is one.
        RoleMissing: you act by a key that is no admin's.
    """
    from treadle.identity import Keys
    from treadle.state import events

    with opened(workspace) as (place, store):
        who = administering(place)
        token = Keys(place.home).add(name, role)
        with store.write() as conn:
            events.append(conn, "key.added", at=time.time(), actor=who, data={"name": name, "role": role})
        return token


def key_list(*, workspace: Place = None) -> "list[Key]":
    """Return every key that was given out, with the hash of its token."""
    from treadle.identity import Keys

    return list(Keys(found(workspace).home).known())


def key_remove(name: str, *, workspace: Place = None) -> None:
    """Take the key of ``name`` back: it is refused from now on. What was done with it stays in the record.

    Raises:
        KeyNotFound: there is none.
        RoleMissing: you act by a key that is no admin's.
    """
    from treadle.identity import Keys
    from treadle.state import events

    with opened(workspace) as (place, store):
        who = administering(place)
        Keys(place.home).remove(name)
        with store.write() as conn:
            events.append(conn, "key.removed", at=time.time(), actor=who, data={"name": name})
