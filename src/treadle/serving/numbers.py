"""The folder in which the workers keep the numbers that Prometheus reads: what the process that keeps them running does with it.

That process loads no library of metrics: it would start later, and every worker after it. The files are those of prometheus_client.
"""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from struct import pack, unpack_from

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

SUMMED = ("counter", "histogram")
"""The kinds of numbers that outlive their worker, as its files are named."""


def forget(pid: int, *, folder: Path) -> None:
    """Take out what counts only as long as a worker lives, of one that has ended, and add what it has counted to what all such have.

    So a worker that dies again and again leaves one file of each kind. Without room for it, its files stay, and count as before.
    """
    for path in folder.glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)
    with hold(folder, fcntl.LOCK_EX):
        for kind in SUMMED:
            ended, total, written = (folder / f"{kind}_{name}" for name in (f"{pid}.db", "ended.db", "ended.new"))
            counted = list(_read(ended))
            if not counted:
                continue
            values = dict(_read(total))
            for key, value in counted:
                values[key] = values.get(key, 0.0) + value
            try:
                written.write_bytes(_file(values))
            except OSError:
                return
            written.replace(total)
            ended.unlink(missing_ok=True)


@contextmanager
def hold(folder: Path, how: int) -> Iterator[None]:
    """Hold the lock under which files of the folder become one: whoever adds them up meanwhile would count some twice, or not at all."""
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, how)
        yield


def _read(path: Path) -> Iterator[tuple[str, float]]:
    """Yield the numbers in a file by their keys; none of one that is not there, or that nothing was written to."""
    data = path.read_bytes() if path.exists() else b""
    place, end = 8, unpack_from("i", data)[0] if data else 0
    while place < end:
        (length,) = unpack_from("i", data, place)
        key, place = data[place + 4 : place + 4 + length], place + 4 + _padded(length)
        yield key.decode(), unpack_from("d", data, place)[0]
        place += 16


def _file(values: Mapping[str, float]) -> bytes:
    """Return the file of these numbers, to be written at once: a mapped one on a full disk would end the process that touches it."""
    entries = b"".join(
        pack("i", len(key)) + key + b" " * (_padded(len(key)) - len(key)) + pack("dd", value, 0.0)
        for key, value in ((name.encode(), value) for name, value in values.items())
    )
    return pack("ii", 8 + len(entries), 0) + entries


def _padded(length: int) -> int:
    """Return how many bytes a key of this length takes: behind the four of its length, a number begins at a multiple of eight."""
    return length + 8 - (length + 4) % 8
