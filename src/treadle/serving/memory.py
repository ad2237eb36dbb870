"""The deployments that this host has followed last, in a file: what a worker answers with that starts while the store is away.

It is no truth of anything. As soon as the store can be read, what stands there counts.
"""

import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from treadle.state.deployments import Deployment


class Followed(msgspec.Struct, frozen=True):
    """What was followed, by model: the deployments, and the fields of every version that had a role."""

    deployments: Mapping[str, Deployment] = {}
    fields: Mapping[str, frozenset[str]] = {}


class Memory:
    """One file of a host, which all its workers write and read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, followed: Followed) -> None:
        """Write down what is followed now. That it cannot be written is no matter as long as the store is there."""
        draft = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}")
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                draft.write_bytes(msgspec.json.encode(followed))
                draft.replace(self._path)
            finally:
                draft.unlink(missing_ok=True)

    def read(self) -> Followed:
        """Return what was written down last; nothing where that cannot be read."""
        with suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(self._path.read_bytes(), type=Followed)
        return Followed()
