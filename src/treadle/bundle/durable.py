"""Bytes that survive the death of the machine: a file written through to the disk, a folder's names brought there."""

import os
from pathlib import Path


def write_through(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in ``folder``: a new or renamed file is durable only then."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
