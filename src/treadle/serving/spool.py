"""The log on its way to the store: records that a worker appends to a segment before it answers.

A *segment* is a file that one worker writes and the shipper of the host reads. Its name carries a UUID and is never
used again. The writer holds an flock on it for as long as it lives, so whoever can lock a segment knows that
nothing will be added to it.

One append is one frame, written by one system call:

    magic (4 bytes) | length of the payload (u32) | CRC-32 of salt, length and payload (u32) | payload (msgpack list of records)

The salt comes from the random name of the segment, which no caller knows: a row that holds the bytes of a frame is never taken for one.
The death of the process after the call loses nothing; with ``durable`` neither does that of the machine.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import struct
import threading
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from treadle.bundle.durable import sync_folder
from treadle.errors import LogUnavailable
from treadle.serving.records import BatchRecord, Written

MAGIC = b"\xc1TF1"
SUFFIX = ".seg"
_HEADER = struct.Struct("<4sII")

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(list[Written])
_raw_decoder = msgspec.msgpack.Decoder(list[msgspec.Raw])
_record_decoder = msgspec.msgpack.Decoder(Written)


# how a reader takes a segment apart


@dataclass
class Frames:
    """What a stretch of a segment holds.

    ``records`` have ``rows`` rows, labels and whatever else, where batches are taken apart. ``consumed`` bytes need not be read
    again. ``torn`` says that what follows them is not a whole frame (yet).
    ``unknown`` are records that this reader does not understand, ``damaged`` the stretches (start, stop) without a frame.
    """

    records: list[Written] = field(default_factory=list)
    consumed: int = 0
    rows: int = field(default=0, compare=False)
    torn: bool = False
    unknown: list[bytes] = field(default_factory=list)
    damaged: list[tuple[int, int]] = field(default_factory=list)


def salt_of(segment: Path) -> int:
    """Return the salt of the checksums in a segment."""
    return zlib.crc32(segment.stem.encode())


def read_frames(data: bytes, salt: int, *, final: bool = False, limit: int | None = None) -> Frames:
    """Read whole frames from the start of ``data`` until ``limit`` rows are reached or nothing whole is left.

    Bytes that are no frame are skipped as damage when a good frame follows them. A frame that is cut off by the end of ``data`` is
    left for later, unless this is ``final``: then nothing more will come, and a good frame after it shows that it was damage.
    """
    frames = Frames()
    length = len(data)
    while frames.consumed < length and (limit is None or frames.rows < limit):
        start = frames.consumed
        payload, stop = _frame_at(data, salt, start)
        if payload is not None:
            _decode(payload, frames)
            frames.consumed = stop
            continue
        resumed = _next_frame(data, salt, start + 1) if final or stop <= length else None
        if resumed is None:
            frames.torn = True
            return frames
        frames.damaged.append((start, resumed))
        frames.consumed = resumed
    return frames


def _frame_at(data: bytes, salt: int, start: int) -> tuple[bytes | None, int]:
    """Return the payload of the frame that begins at ``start``, None where that is no whole one; and where it ends, or would."""
    inside = start + _HEADER.size
    if inside > len(data):
        return None, inside
    magic, length, checksum = _HEADER.unpack_from(data, start)
    stop = inside + length
    payload = data[inside:stop]
    whole = magic == MAGIC and stop <= len(data) and checksum == _checksum(salt, length, payload)
    return payload if whole else None, stop


def _next_frame(data: bytes, salt: int, start: int) -> int | None:
    """Return where the first intact frame at or after ``start`` begins."""
    while (start := data.find(MAGIC, start)) >= 0:
        if _frame_at(data, salt, start)[0] is not None:
            return start
        start += 1
    return None


def _decode(payload: bytes, frames: Frames) -> None:
    try:
        written = _decoder.decode(payload)
    except msgspec.DecodeError:
        _decode_one_by_one(payload, frames)
        return
    for record in written:
        _take(record, frames)


def _take(record: Written, frames: Frames) -> None:
    frames.records.append(record)
    frames.rows += len(record) if type(record) is BatchRecord else 1


def _decode_one_by_one(payload: bytes, frames: Frames) -> None:
    try:
        parts = _raw_decoder.decode(payload)
    except msgspec.DecodeError:
        frames.unknown.append(payload)
        return
    for part in parts:
        try:
            _take(_record_decoder.decode(part), frames)
        except msgspec.DecodeError:
            frames.unknown.append(bytes(part))


def _checksum(salt: int, length: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(length.to_bytes(4, "little"), salt))


def frame(records: Sequence[Written], salt: int) -> bytes:
    """Return the frame that holds ``records``."""
    payload = _encode(records)
    length = len(payload)
    return _HEADER.pack(MAGIC, length, _checksum(salt, length, payload)) + payload


# how a worker writes one


class SpoolWriter:
    """The one writer of its segments; safe to call from several threads.

    A new segment begins after ``segment_bytes``, and after any failed write, so that no byte of a segment is ever written twice.
    """

    def __init__(self, folder: Path, *, segment_bytes: int, durable: bool = False) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self.durable = durable
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._fd: int | None = None
        self._path = folder
        self._salt = 0
        self._position = 0
        self._appended = 0
        self._synced = 0
        self._unsettled = 0

    def append(self, records: Sequence[Written]) -> int:
        """Append ``records``, all or none, by one write. Return a ticket for ``settle``.

        Raises:
            LogUnavailable: the disk is full or broken; nothing was appended.
        """
        with self._lock:
            try:
                fd = self._open() if self._fd is None else self._fd
                buffer = frame(records, self._salt)
                _write(fd, buffer)
            except OSError as error:
                self._abandon()
                raise LogUnavailable(self._folder, error.strerror or str(error)) from error
            self._position += len(buffer)
            self._appended += 1
            if self._position >= self._segment_bytes:
                self._finish()
            return self._appended

    def settle(self, ticket: int) -> None:
        """Wait until the append with this ticket survives the death of the machine, where the writer is ``durable``.

        Callers that wait together share one fsync.

        Raises:
            LogUnavailable: the disk could not say so.
        """
        if not self.durable:
            return
        with self._sync_lock:
            if self._synced >= ticket > self._unsettled:
                return
            with self._lock:
                target = self._appended
                # A copy: an append may finish this segment while we wait for the disk.
                fd = None if self._fd is None else os.dup(self._fd)
            if fd is not None:
                self._sync(fd, target)
                os.close(fd)
        if ticket <= self._unsettled:
            raise LogUnavailable(self._folder, "it could not be brought to the disk")

    async def settled(self, ticket: int) -> None:
        """Do ``settle`` without holding up the event loop."""
        if self.durable:
            await asyncio.to_thread(self.settle, ticket)

    def close(self) -> None:
        """Let go of the segment; the shipper will take what is in it and remove it."""
        with self._lock:
            self._finish()

    def _open(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = str(uuid.uuid4())
        fresh = self._folder / f"{name}.new"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._fd, self._path, self._position = fd, self._folder / f"{name}{SUFFIX}", 0
        self._salt = salt_of(self._path)
        fcntl.flock(fd, fcntl.LOCK_EX)
        # The shipper sees the name only now, when the lock is held: it can never take a newborn segment for a dead one.
        fresh.rename(self._path)
        if self.durable:
            sync_folder(self._folder)
        return fd

    def _finish(self) -> None:
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        if self.durable:
            self._sync(fd, self._appended)
        os.close(fd)

    def _abandon(self) -> None:
        """Leave a segment after a failed write, without the torn frame where that can still be cut off."""
        if self._fd is None:
            return
        # Where it cannot be cut off it stays, and a reader leaves it out: its length or its checksum is wrong.
        with contextlib.suppress(OSError):
            if self._position:
                os.ftruncate(self._fd, self._position)
            else:
                self._path.unlink(missing_ok=True)
        self._finish()

    def _sync(self, fd: int, appended: int) -> None:
        try:
            os.fdatasync(fd)
        except OSError:
            self._unsettled = appended
        else:
            self._synced = max(self._synced, appended)


def _write(fd: int, buffer: bytes) -> None:
    if os.write(fd, buffer) != len(buffer):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def segments(folder: Path) -> list[Path]:
    """Return the segments in ``folder``, in a stable order."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def writer_gone(fd: int) -> bool:
    """Tell whether nothing will be added to the open segment ``fd`` any more."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True
