"""The place that hosts share, such as a bucket: named objects that appear and go in one step each.

What is kept there is named by its own digest, so writing an object twice is harmless, and a copy of it never goes stale. Nobody
trusts what comes back: the places that use this one check every byte. Credentials are read by the libraries of the file system
from the environment; no setting holds them.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from treadle.bundle.durable import sync_folder, write_through
from treadle.errors import RemoteExtraMissing, RemoteUnavailable
from treadle.settings import Workspace

REST_SECONDS = 2.0
"""How long a place that could not be reached is not asked again: who wants many things of it waits once, not many times."""

LIBRARIES = {"s3": "treadle[s3]", "s3a": "treadle[s3]", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}
"""What brings the file system of a kind of address."""

OPTIONS: dict[str, dict[str, Any]] = {
    # A place that is away is told within seconds: a service follows several models in turn.
    "s3": {"config_kwargs": {"connect_timeout": 3, "read_timeout": 30, "retries": {"max_attempts": 1}}},
}
OPTIONS["s3a"] = OPTIONS["s3"]

DRAFT = ".draft-"


class Remote:
    """One folder of the shared place, with objects under names such as ``<digest>/model.onnx``."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url.rstrip("/")
        self._clock = clock
        self._away: tuple[float, str] | None = None

    @classmethod
    def of(cls, workspace: Workspace, folder: str) -> Self | None:
        """Return a folder of the place that a workspace shares with others; None if it shares none."""
        url = workspace.settings.remote_url
        return cls(f"{url}/{folder}") if url else None

    def read(self, name: str) -> bytes | None:
        """Return the bytes of an object; None if there is none.

        Raises:
            RemoteUnavailable: the place cannot be asked.
            RemoteExtraMissing: its library is not installed.
        """
        with self._told(f"reading {name}"), suppress(FileNotFoundError):
            content: bytes = self._files.cat_file(self._path(name))
            return content
        return None

    def write(self, name: str, content: bytes) -> None:
        """Put an object there, whole or not at all. Raises as ``read`` does."""
        with self._told(f"writing {name}"):
            if self._is_local:
                _write_whole(Path(self._path(name)), content)
            else:
                self._files.pipe_file(self._path(name), content)

    def made(self, name: str) -> float | None:
        """Return when an object was last written; None if there is none. Raises as ``read`` does."""
        with self._told(f"looking for {name}"), suppress(FileNotFoundError):
            at: float = self._files.modified(self._path(name)).timestamp()
            return at
        return None

    def names(self, under: str = "") -> list[str]:
        """Return the names of all objects, or of those in one folder, sorted. Raises as ``read`` does."""
        with self._told("listing it"):
            begin = f"{self._root}/"
            found = self._files.find(f"{begin}{under}".rstrip("/"))
        return sorted(path.removeprefix(begin) for path in found if path.startswith(begin) and f"/{DRAFT}" not in path)

    def remove(self, name: str) -> None:
        """Take an object away, if it is there. Raises as ``read`` does."""
        with self._told(f"removing {name}"), suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @property
    def _files(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1]

    @property
    def _is_local(self) -> bool:
        return "file" in self._files.protocol

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """The file system of the address, and the path in it."""
        from fsspec.core import url_to_fs  # noqa: PLC0415 - who shares no place does not load it

        scheme = self.url.partition("://")[0]
        # What others have put is to be seen at once: no listing is kept.
        files, root = url_to_fs(self.url, use_listings_cache=False, **OPTIONS.get(scheme, {}))
        return files, str(root).rstrip("/")

    def _require_mounted(self) -> None:
        """Refuse a folder that is not there: what is put where a disk is not mounted would be seen by nobody else."""
        if self._is_local and not (shared := Path(self._root).parent).is_dir():
            raise NotADirectoryError(f"there is no folder {shared}; make it or mount it")

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn whatever a file system raises into our own errors."""
        if self._away is not None and 0 <= self._clock() - self._away[0] < REST_SECONDS:
            raise RemoteUnavailable(self.url, self._away[1], what=what)
        try:
            _ = self._opened
        except ImportError as error:
            scheme = self.url.partition("://")[0]
            raise RemoteExtraMissing(self.url, str(error), LIBRARIES.get(scheme, scheme)) from error
        except Exception as error:
            raise RemoteUnavailable(self.url, _reason(error), what=what) from error
        try:
            self._require_mounted()
            yield
        except Exception as error:  # each file system has errors of its own
            # An object that is missing or may not be had says nothing about the others.
            if not isinstance(error, FileNotFoundError | PermissionError):
                self._away = self._clock(), _reason(error)
            raise RemoteUnavailable(self.url, _reason(error), what=what) from error
        self._away = None


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file of a shared folder; a reader on another host never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{DRAFT}{uuid.uuid4().hex}")
    try:
        write_through(draft, content)
        draft.replace(path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
