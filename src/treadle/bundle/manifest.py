"""The manifest of a bundle: each file's size and SHA-256, and where the version came from.

The digest of a bundle is the SHA-256 of the manifest's bytes. No time of day stands in it, so equal inputs give equal bytes.
"""

import hashlib
import re
from collections.abc import Mapping

import msgspec

from treadle.errors import BundleInvalid
from treadle.spec import canonical_json

MANIFEST_FILE = "manifest.json"
FORMAT = 1

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one file must be: its SHA-256 (hex) and its size in bytes."""

    sha256: str
    size: int


class Lineage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From what a version was made.

    ``data_digest`` is the digest of the rows, ``snapshot`` their checksum in DVC. ``cut`` is the latest prediction time
    (epoch seconds) among rows that came from the log, none for the first data. ``turn_id`` names the turn of the loop.
    """

    data_digest: str
    data_source: str
    simulated: bool
    rows: int
    seed: int
    interface_digest: str
    code_digest: str
    python: str
    packages: dict[str, str]
    snapshot: str = ""
    holdout_digest: str = ""
    code_commit: str = ""
    run_id: str = ""
    turn_id: str | None = None
    cut: float | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The list of a bundle's files, for one model, with the lineage."""

    format: int = FORMAT
    model: str
    files: dict[str, FileEntry]
    lineage: Lineage

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: equal manifests give equal bytes."""
        return canonical_json(msgspec.to_builtins(self))


def describe(files: Mapping[str, bytes]) -> dict[str, FileEntry]:
    """Return what the manifest says of these files.

    Raises:
        BundleInvalid: a name is not a plain file name, or is that of the manifest itself.
    """
    for name in files:
        _check_name(name)
    return {name: FileEntry(digest_of(content), len(content)) for name, content in files.items()}


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of ``content`` as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def parse(content: bytes) -> Manifest:
    """Return the manifest that these bytes hold.

    Raises:
        BundleInvalid: they hold no manifest, one of a format that this Treadle does not know, or a file name with a path in it.
    """
    try:
        kind = msgspec.json.decode(content, type=_Kind)
        if kind.format != FORMAT:
            raise BundleInvalid(MANIFEST_FILE, f"has format {kind.format}, and this Treadle reads format {FORMAT}")
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BundleInvalid(MANIFEST_FILE, f"is not a manifest: {error}") from error
    for name in manifest.files:
        _check_name(name)
    return manifest


class _Kind(msgspec.Struct):
    format: int


def _check_name(name: str) -> None:
    if not _FILE_NAME.fullmatch(name) or name == MANIFEST_FILE:
        raise BundleInvalid(name, "is not allowed as the name of a file: letters, digits, '.', '_' and '-' are, manifest.json is not")
