"""What each route asks of its caller: one table, so that nobody has to look for it in the routes."""

from functools import lru_cache
from typing import Literal, NamedTuple

from treadle.settings import Role

Needs = Role | Literal["nothing", "key"]
"""A role; or any valid key; or nothing at all: then no key is looked at, not even a wrong one."""

READS = ("GET", "HEAD")


class Rule(NamedTuple):
    """What the paths ask that begin with one part: of those who read, and of those who write (every other method)."""

    reads: Needs
    writes: Needs


TABLE: dict[str, Rule] = {
    # A probe must not fail because a key was rotated.
    "health": Rule("nothing", "nothing"),
    "ready": Rule("nothing", "nothing"),
    "predict": Rule("predict", "predict"),
    "labels": Rule("label", "label"),
    # Reading tells names, schemas, metrics and lineage; writing is to approve and to reject, but see OPERATES.
    "models": Rule("key", "approve"),
    "metrics": Rule("key", "key"),
    # Roles of several models at once.
    "deployments": Rule("key", "operate"),
    "admin": Rule("operate", "operate"),
    # The pages of the API, which a browser reads.
    "docs": Rule("key", "key"),
    "redoc": Rule("key", "key"),
    "openapi.json": Rule("key", "key"),
    "static-offline-docs": Rule("key", "key"),
}
"""By the first part of the path."""

OTHERWISE = Rule("key", "key")
"""For a path that is none: its 404 is for those who have a key."""

OPERATES = ("/rollback", "/ab", "/ab/stop")
"""How the paths under /models end that change roles; they ask what the commands of the same name ask."""

AUDITED: frozenset[Needs] = frozenset({"operate", "approve", "admin"})
"""A call that needs one of these is an event, with the name of the caller."""


_READS = {part: rule.reads for part, rule in TABLE.items()}
_WRITES = {part: rule.writes for part, rule in TABLE.items()}


@lru_cache(512)
def needs(method: str, path: str) -> Needs:
    """Return what a request asks of its caller."""
    part = path[1:].partition("/")[0]
    if method in READS:
        return _READS.get(part, OTHERWISE.reads)
    asked = _WRITES.get(part, OTHERWISE.writes)
    return "operate" if asked == "approve" and path.endswith(OPERATES) else asked
