"""The sealed bundle, and the folder that keeps bundles under their digests.

A bundle goes in whole or not at all, and comes out only if every byte is the one that was sealed. The bytes that were checked
are the bytes that are used: nothing is read twice.
"""

import re
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import msgspec
from pydantic import ValidationError

from treadle.bundle import manifest as manifests
from treadle.bundle import profile as profiles
from treadle.bundle.durable import sync_folder, write_through
from treadle.bundle.manifest import MANIFEST_FILE, FileEntry, Lineage, Manifest, describe, digest_of
from treadle.bundle.profile import PROFILE_FILE, Profile
from treadle.errors import BundleCorrupt, BundleInvalid, BundleNotFound
from treadle.spec import Interface

MODEL_FILE = "model.onnx"
INTERFACE_FILE = "interface.json"
CARD_FILE = "card.json"
MEASURED_FILE = "measured.onnx"
"""Only where an estimator was published as it was fitted elsewhere: the graph of its clone that the held-out rows judge."""
REQUIRED = (MODEL_FILE, INTERFACE_FILE, PROFILE_FILE, CARD_FILE)

DRAFT = ".draft-"
HIDDEN = ".removed-"

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, eq=False)
class Bundle:
    """A version as it is served: its files in memory, the manifest that lists them, and the digest that names them all."""

    digest: str
    manifest: Manifest
    files: Mapping[str, bytes]

    @classmethod
    def seal(cls, files: Mapping[str, bytes], model: str, lineage: Lineage) -> Self:
        """Make a bundle of these files, in memory.

        Raises:
            BundleInvalid: a file is missing, has a name that is not allowed, or does not hold what its name says.
        """
        manifest = Manifest(model=model, files=describe(files), lineage=lineage)
        return cls(digest_of(manifest.to_bytes()), manifest, dict(files)).checked()

    def checked(self) -> Self:
        """Return this bundle if the content of its files can be read.

        Raises:
            BundleInvalid: a file is missing, or does not hold what its name says.
        """
        for name in REQUIRED:
            if name not in self.files:
                raise BundleInvalid(name, "is missing")
        _ = self.interface, self.profile, self.card
        return self

    @cached_property
    def interface(self) -> Interface:
        """The sealed half of the contract."""
        try:
            return Interface.model_validate_json(self.files[INTERFACE_FILE])
        except ValidationError as error:
            raise BundleInvalid(INTERFACE_FILE, f"is not an interface: {error}") from error

    @cached_property
    def profile(self) -> Profile:
        """The reference profile."""
        return profiles.parse(self.files[PROFILE_FILE])

    @cached_property
    def card(self) -> dict[str, Any]:
        """The measured part of the model card."""
        try:
            return msgspec.json.decode(self.files[CARD_FILE], type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise BundleInvalid(CARD_FILE, f"is not a card: {error}") from error


class BundlePlace:
    """A folder with one folder per bundle, named by its digest. Several processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, files: Mapping[str, bytes], model: str, lineage: Lineage) -> Bundle:
        """Seal these files and keep them; a bundle that is there already stays as it is.

        Raises:
            BundleInvalid: the files do not make a bundle.
            BundleCorrupt: this bundle is there already, and has been damaged.
        """
        bundle = Bundle.seal(files, model, lineage)
        if self.has(bundle.digest):
            return self.get(bundle.digest)
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=self.folder))
        try:
            for name, content in {**bundle.files, MANIFEST_FILE: bundle.manifest.to_bytes()}.items():
                write_through(draft / name, content)
            sync_folder(draft)
            draft.chmod(0o755)
            try:
                draft.rename(self.folder / bundle.digest)
            except OSError:
                # Another process has put it in the meantime, unless the disk failed.
                if not self.has(bundle.digest):
                    raise
                return self.get(bundle.digest)
            sync_folder(self.folder)
            return bundle
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def get(self, digest: str) -> Bundle:
        """Return a bundle after checking every byte of it.

        Raises:
            BundleNotFound: there is none with this digest.
            BundleCorrupt: a file is missing or is not the one that was sealed; the error names the file and both digests.
            BundleInvalid: the bytes are whole, but this Treadle cannot read what they hold.
        """
        manifest = self._manifest(digest)
        home = self.folder / digest
        files = {name: _verified(home, digest, name, entry) for name, entry in sorted(manifest.files.items())}
        return Bundle(digest, manifest, files).checked()

    def interface(self, digest: str) -> Interface:
        """Return the interface that is sealed into a bundle; no other file of it is read. Raises as ``get`` does."""
        manifest = self._manifest(digest)
        if INTERFACE_FILE not in manifest.files:
            raise BundleInvalid(INTERFACE_FILE, "is missing")
        content = _verified(self.folder / digest, digest, INTERFACE_FILE, manifest.files[INTERFACE_FILE])
        return Bundle(digest, manifest, {INTERFACE_FILE: content}).interface

    def _manifest(self, digest: str) -> Manifest:
        if not self.has(digest):
            raise BundleNotFound(digest, self.folder)
        listing = _read(self.folder / digest, digest, MANIFEST_FILE, f"SHA-256 {digest}")
        found = digest_of(listing)
        if found != digest:
            raise BundleCorrupt(digest, MANIFEST_FILE, expected=f"SHA-256 {digest}", found=f"SHA-256 {found}")
        return manifests.parse(listing)

    def listing(self, digest: str) -> Manifest:
        """Return the manifest of a bundle as it stands there; only ``get`` checks the bytes.

        Raises:
            BundleNotFound: there is none with this digest.
            BundleCorrupt: its manifest is missing.
            BundleInvalid: this Treadle cannot read it.
        """
        if not self.has(digest):
            raise BundleNotFound(digest, self.folder)
        return manifests.parse(_read(self.folder / digest, digest, MANIFEST_FILE, f"SHA-256 {digest}"))

    def hide(self, digest: str) -> Path | None:
        """Take a bundle out of sight in one step, and return the folder that is left to delete; None if it was not there."""
        hidden = self.folder / f"{HIDDEN}{digest}-{uuid.uuid4().hex[:8]}"
        try:
            (self.folder / digest).rename(hidden)
        except FileNotFoundError:
            return None
        return hidden

    def leftovers(self) -> list[Path]:
        """Return the folders that a killed process has left: drafts, and bundles that were hidden but not deleted."""
        return sorted(path for prefix in (DRAFT, HIDDEN) for path in self.folder.glob(f"{prefix}*"))

    def has(self, digest: str) -> bool:
        """Tell whether a bundle with this digest is there, whole or not."""
        return _DIGEST.fullmatch(digest) is not None and (self.folder / digest).is_dir()

    def digests(self) -> list[str]:
        """Return the digests of all bundles that are there, sorted."""
        return sorted(path.name for path in self.folder.glob("*") if self.has(path.name))


def _verified(home: Path, digest: str, name: str, entry: FileEntry) -> bytes:
    expected = f"SHA-256 {entry.sha256} of {entry.size} bytes"
    content = _read(home, digest, name, expected)
    found = FileEntry(digest_of(content), len(content))
    if found != entry:
        raise BundleCorrupt(digest, name, expected=expected, found=f"SHA-256 {found.sha256} of {found.size} bytes")
    return content


def _read(home: Path, digest: str, name: str, expected: str) -> bytes:
    try:
        return (home / name).read_bytes()
    except OSError as error:
        raise BundleCorrupt(digest, name, expected=expected, found=f"no readable file ({error.strerror})") from error
