"""The sealed bundle, and the folder that keeps bundles under their digests.

A bundle goes in whole or not at all, and comes out only if every byte is the one that was sealed. The bytes that were checked
are the bytes that are used: nothing is read twice.
"""

import os
import re
import shutil
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
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
from treadle.bundle.remote import Remote
from treadle.errors import BundleCorrupt, BundleInvalid, BundleNotFound
from treadle.settings import Workspace
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
    """A folder with one folder per bundle, named by its digest. Several processes may use it at once.

    Where hosts share a ``remote``, what is put here is brought there too, and what is missing here is had from there: a bundle
    never changes, so the folder is a cache that never goes stale. Every byte is checked on the way in, and again on the way out.
    """

    def __init__(self, folder: Path, remote: Remote | None = None) -> None:
        self.folder = folder
        self.remote = remote

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """Return the place of a workspace, with the one that it shares with others."""
        return cls(workspace.bundle_dir, Remote.of(workspace, "bundles"))

    @property
    def shared(self) -> str:
        """The address of the place that hosts share; empty if there is none."""
        return self.remote.url if self.remote else ""

    def put(self, files: Mapping[str, bytes], model: str, lineage: Lineage) -> Bundle:
        """Seal these files and keep them, here and in the shared place; a bundle that is there already stays as it is.

        Raises:
            BundleInvalid: the files do not make a bundle.
            BundleCorrupt: this bundle is there already, and has been damaged.
            RemoteUnavailable: it is kept here, but could not be shared; to put it again goes on from there.
        """
        bundle = Bundle.seal(files, model, lineage)
        contents = {**bundle.files, MANIFEST_FILE: bundle.manifest.to_bytes()}
        new = not self._here(bundle.digest) and self._keep(bundle.digest, contents)
        kept = bundle if new else self.get(bundle.digest)
        self._bring(bundle.digest, contents)
        return kept

    def share(self, digest: str) -> None:
        """Bring a bundle that is here to the shared place, unless it is there: what gets a role must be there for every host.

        Raises:
            BundleNotFound, BundleCorrupt, BundleInvalid: as ``get``.
            RemoteUnavailable: the place cannot be used.
        """
        if self._here(digest) and self.remote is not None:
            self._bring(digest, _Here(digest, self.folder / digest).contents())

    def fetch(self, digest: str) -> None:
        """Have a bundle here, from the shared place if it must be. Raises as ``get``, but only ``get`` checks what is here."""
        if not self._here(digest):
            self._keep(digest, self._source(digest).contents(), at=self.made(digest))

    def get(self, digest: str) -> Bundle:
        """Return a bundle after checking every byte of it.

        Raises:
            BundleNotFound: there is none with this digest.
            BundleCorrupt: a file is missing or is not the one that was sealed; the error names the file and both digests.
            BundleInvalid: the bytes are whole, but this Treadle cannot read what they hold.
            RemoteUnavailable: it is not here, and the shared place cannot be asked.
        """
        self.fetch(digest)
        source = self._source(digest)
        manifest = source.manifest()
        files = {name: source.verified(name, entry) for name, entry in sorted(manifest.files.items())}
        return Bundle(digest, manifest, files).checked()

    def interface(self, digest: str) -> Interface:
        """Return the interface that is sealed into a bundle; no other file of it is read, or fetched. Raises as ``get`` does."""
        source = self._source(digest)
        manifest = source.manifest()
        if INTERFACE_FILE not in manifest.files:
            raise BundleInvalid(INTERFACE_FILE, "is missing")
        content = source.verified(INTERFACE_FILE, manifest.files[INTERFACE_FILE])
        return Bundle(digest, manifest, {INTERFACE_FILE: content}).interface

    def listing(self, digest: str) -> Manifest:
        """Return the manifest of a bundle as it stands there; only ``get`` checks the bytes.

        Raises:
            BundleNotFound: there is none with this digest.
            BundleCorrupt: its manifest is missing.
            BundleInvalid: this Treadle cannot read it.
            RemoteUnavailable: it is not here, and the shared place cannot be asked.
        """
        source = self._source(digest)
        return manifests.parse(source.read(MANIFEST_FILE, f"SHA-256 {digest}"))

    def hide(self, digest: str) -> Path | None:
        """Take a bundle out of sight, and return the folder that is left to delete; None if it was not here.

        In the shared place the manifest goes first, for a bundle is there as long as its manifest is.

        Raises:
            RemoteUnavailable: it is still there, or only some of it has gone; to hide it again takes the rest.
        """
        if self.remote is not None and _DIGEST.fullmatch(digest):
            self.remote.remove(f"{digest}/{MANIFEST_FILE}")
            for name in self.remote.names(digest):
                self.remote.remove(name)
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
        """Tell whether a bundle with this digest is here or in the shared place, whole or not.

        Raises:
            RemoteUnavailable: it is not here, and the shared place cannot be asked.
        """
        return self._here(digest) or self._there(digest) is not None

    def digests(self) -> list[str]:
        """Return the digests of all bundles that are here or in the shared place, sorted.

        Raises:
            RemoteUnavailable: the shared place cannot be asked.
        """
        here = {path.name for path in self.folder.glob("*") if self._here(path.name)}
        return sorted(here | self.digests_shared())

    def digests_shared(self) -> set[str]:
        """Return the digests of the bundles that are in the shared place: those whose manifest is. Raises as ``digests``."""
        names = self.remote.names() if self.remote else []
        return {
            digest for digest, _, file in (name.partition("/") for name in names) if file == MANIFEST_FILE and _DIGEST.fullmatch(digest)
        }

    def made(self, digest: str) -> float:
        """Return when a bundle was sealed; 0 if it is nowhere. Raises as ``has``."""
        with suppress(OSError):
            return (self.folder / digest).lstat().st_mtime
        return self._there(digest) or 0.0

    def _keep(self, digest: str, contents: Mapping[str, bytes], at: float | None = None) -> bool:
        """Write a bundle into the folder, in one step for whoever looks; ``at`` is when it was sealed, if that was not now.

        False if another process was first.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=self.folder))
        try:
            for name, content in contents.items():
                write_through(draft / name, content)
            sync_folder(draft)
            draft.chmod(0o755)
            if at is not None:
                os.utime(draft, (at, at))
            try:
                draft.rename(self.folder / digest)
            except OSError:
                # Another process has put it in the meantime, unless the disk failed.
                if not self._here(digest):
                    raise
                return False
            sync_folder(self.folder)
            return True
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _bring(self, digest: str, contents: Mapping[str, bytes]) -> None:
        """Bring a bundle to the shared place, its manifest last: what is seen there is whole, whenever this is interrupted."""
        if self.remote is None or self._there(digest) is not None:
            return
        for name in sorted(contents, key=lambda name: (name == MANIFEST_FILE, name)):
            self.remote.write(f"{digest}/{name}", contents[name])

    def _source(self, digest: str) -> "_Source":
        """Return where a bundle can be read: here, else in the shared place."""
        if self._here(digest):
            return _Here(digest, self.folder / digest)
        if self.remote is not None and self._there(digest) is not None:
            return _There(digest, self.remote)
        raise BundleNotFound(digest, self.folder, self.shared)

    def _here(self, digest: str) -> bool:
        return _DIGEST.fullmatch(digest) is not None and (self.folder / digest).is_dir()

    def _there(self, digest: str) -> float | None:
        """Return when a bundle was brought to the shared place; None if it is not there."""
        if self.remote is None or not _DIGEST.fullmatch(digest):
            return None
        return self.remote.made(f"{digest}/{MANIFEST_FILE}")


@dataclass(frozen=True)
class _Source(ABC):
    """The files of one bundle where they lie."""

    digest: str

    @abstractmethod
    def read(self, name: str, expected: str) -> bytes:
        """Return the bytes of a file."""

    @property
    @abstractmethod
    def shared(self) -> str:
        """The address of the place, if hosts share it."""

    def manifest(self) -> Manifest:
        """Return the manifest, if it has the digest."""
        return manifests.parse(self._sealed())

    def contents(self) -> dict[str, bytes]:
        """Return every file as it was sealed, and the manifest by its own bytes: an older one would be written otherwise today."""
        sealed = self._sealed()
        files = {name: self.verified(name, entry) for name, entry in manifests.parse(sealed).files.items()}
        return {**files, MANIFEST_FILE: sealed}

    def verified(self, name: str, entry: FileEntry) -> bytes:
        """Return the bytes of a file, if they are those that the manifest says."""
        expected = f"SHA-256 {entry.sha256} of {entry.size} bytes"
        content = self.read(name, expected)
        found = FileEntry(digest_of(content), len(content))
        if found != entry:
            raise self._corrupt(name, expected, f"SHA-256 {found.sha256} of {found.size} bytes")
        return content

    def _sealed(self) -> bytes:
        listing = self.read(MANIFEST_FILE, f"SHA-256 {self.digest}")
        found = digest_of(listing)
        if found != self.digest:
            raise self._corrupt(MANIFEST_FILE, f"SHA-256 {self.digest}", f"SHA-256 {found}")
        return listing

    def _corrupt(self, name: str, expected: str, found: str) -> BundleCorrupt:
        return BundleCorrupt(self.digest, name, expected=expected, found=found, shared=self.shared)


@dataclass(frozen=True)
class _Here(_Source):
    home: Path
    shared = ""

    def read(self, name: str, expected: str) -> bytes:
        try:
            return (self.home / name).read_bytes()
        except OSError as error:
            raise self._corrupt(name, expected, f"no readable file ({error.strerror})") from error


@dataclass(frozen=True)
class _There(_Source):
    remote: Remote

    @property
    def shared(self) -> str:
        return self.remote.url

    def read(self, name: str, expected: str) -> bytes:
        content = self.remote.read(f"{self.digest}/{name}")
        if content is None:
            raise self._corrupt(name, expected, "no object")
        return content
