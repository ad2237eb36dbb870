"""Names that stand in the log for people: a keyed hash, equal for equal names, that nobody can undo or guess without the key.

The key is a file of the workspace that only its owner can read. Whoever has it can tell whether a name that he knows is in the log;
once it is gone nobody can, and what is logged from then on joins nothing that was logged before.
"""

import hashlib
import os
import secrets
import uuid
from contextlib import suppress
from pathlib import Path

from treadle.errors import PseudonymKeyInvalid
from treadle.settings import Workspace

KEY_BYTES = 32
KEY_FILE = "pseudonyms.key"
DIGEST_BYTES = 16
_PERSON = b"treadle names"


class Pseudonyms:
    """What stands for the names of one model. ``key`` has ``KEY_BYTES`` bytes; another model has other pseudonyms for the same name."""

    def __init__(self, key: bytes, model: str) -> None:
        # Six digits tell two keys apart, so that a reader of the log sees where another key began.
        self._prefix = f"p_{hashlib.blake2b(key, digest_size=3, person=_PERSON).hexdigest()}_"
        self._begun = hashlib.blake2b(model.encode() + b"\0", digest_size=DIGEST_BYTES, key=key, person=_PERSON)

    def of(self, name: str) -> str:
        """Return what is kept in place of ``name``."""
        hashed = self._begun.copy()
        hashed.update(name.encode(errors="surrogatepass"))
        return self._prefix + hashed.hexdigest()


def key_file(workspace: Workspace) -> Path:
    """Return where the key of a workspace stands."""
    named = workspace.settings.pseudonym_key
    return workspace.root / named.expanduser() if named else workspace.home / KEY_FILE


def pseudonyms(workspace: Workspace, model: str) -> Pseudonyms:
    """Return what stands for the names of a model. The key is made at first use, unless the setting names a file.

    Raises:
        PseudonymKeyInvalid: the key cannot be read or made, or is too short.
    """
    path = key_file(workspace)
    try:
        if not workspace.settings.pseudonym_key:
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise PseudonymKeyInvalid(path, error.strerror or str(error)) from error
    if len(key) != KEY_BYTES:
        raise PseudonymKeyInvalid(path, f"it has {len(key)} bytes, not {KEY_BYTES}")
    return Pseudonyms(key, model)


def _make(path: Path) -> None:
    """Make a key where there is none: whole or not at all, and the same one for all that make it at once."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
