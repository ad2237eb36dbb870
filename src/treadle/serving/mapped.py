"""Numbers that processes of one host share: a file that each of them maps into its memory."""

import mmap
from pathlib import Path

SIZE = 8
"""Bytes of one number."""


def own(count: int) -> "memoryview[float]":
    """Return so many numbers that no other process sees, all 0."""
    return memoryview(bytearray(count * SIZE)).cast("d")


def shared(path: Path, count: int) -> "memoryview[float]":
    """Return at least so many numbers of a file; new ones are 0.

    Raises:
        OSError: there is no room for it. To touch a mapped page without room would end the process.
    """
    size = -(-count * SIZE // mmap.PAGESIZE) * mmap.PAGESIZE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(bytes(max(size - file.tell(), 0)))
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), size)).cast("d")
