import asyncio
import errno
import json
import os
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.errors import LogUnavailable
from treadle.serving.records import BatchRecord, EventRecord, LabelRecord, PredictionRecord, Record, Written, apart
from treadle.serving.spool import Frames, SpoolWriter, frame, read_frames, salt_of, segments, writer_gone

SALT = 7
PREDICTION = PredictionRecord(
    "id-1", "iris", 1, "d" * 64, 1, "champion", 1.5, 0.25, b"\0\0\0\0", b"\1\2\3\4", '{"prediction":"setosa"}', entity="e"
)
LABEL = LabelRecord("label-1", "iris", "setosa", 1.0, 2.0, request_id="r")
EVENT = EventRecord("bundle.refused", "iris", {"digest": "d", "n": [1, None]}, 3.0)

predictions = st.builds(
    PredictionRecord,
    st.text(max_size=8),
    st.text(max_size=8),
    st.integers(0, 2**53),
    st.text(max_size=8),
    st.integers(0, 2**31),
    st.sampled_from(["champion", "canary"]),
    st.floats(0, 2e9),
    st.floats(0, 10),
    # Rows come from callers, who may well send the bytes of a frame.
    st.one_of(st.binary(max_size=40), st.just(bytes(frame([LABEL], SALT + 1)))),
    entity=st.none() | st.text(max_size=8),
)
appends = st.lists(st.lists(st.one_of(predictions, st.just(LABEL), st.just(EVENT)), min_size=1, max_size=4), min_size=1, max_size=6)


def bytes_of(batches: list[list[Record]]) -> tuple[bytes, list[int]]:
    """Return a segment and where each of its frames ends."""
    data, ends = b"", []
    for batch in batches:
        data += frame(batch, SALT)
        ends.append(len(data))
    return data, ends


def flat(batches: list[list[Record]]) -> list[Written]:
    return [record for batch in batches for record in batch]


@given(appends)
def test_whole_frames_come_back_as_they_were(batches: list[list[Record]]) -> None:
    data, _ = bytes_of(batches)
    assert read_frames(data, SALT, final=True) == Frames(flat(batches), consumed=len(data))


@given(appends, st.data())
def test_any_truncation_gives_the_whole_frames_before_it(batches: list[list[Record]], draw: st.DataObject) -> None:
    data, ends = bytes_of(batches)
    cut = draw.draw(st.integers(0, len(data)))
    whole = [batch for batch, end in zip(batches, ends, strict=True) if end <= cut]
    consumed = max([end for end in ends if end <= cut], default=0)
    assert read_frames(data[:cut], SALT) == Frames(flat(whole), consumed=consumed, torn=cut > consumed)


@given(appends, st.data())
def test_any_chunking_gives_each_record_once(batches: list[list[Record]], draw: st.DataObject) -> None:
    data, _ = bytes_of(batches)
    stops = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6)))
    found: list[Written] = []
    position = 0
    for stop in [*stops, len(data)]:
        frames = read_frames(data[position:stop], SALT, limit=draw.draw(st.none() | st.integers(1, 3)))
        found += frames.records
        position += frames.consumed
        assert not frames.damaged
        assert not frames.unknown
    found += read_frames(data[position:], SALT, final=True).records
    assert found == flat(batches)


@given(appends, st.data())
def test_any_flipped_byte_costs_only_its_own_frame_and_is_told(batches: list[list[Record]], draw: st.DataObject) -> None:
    data, ends = bytes_of(batches)
    at = draw.draw(st.integers(0, len(data) - 1))
    hit = next(index for index, end in enumerate(ends) if at < end)
    broken = bytearray(data)
    broken[at] ^= draw.draw(st.integers(1, 255))
    frames = read_frames(bytes(broken), SALT, final=True)
    assert frames.records == flat(batches[:hit] + batches[hit + 1 :])
    assert frames.damaged or frames.torn


def test_a_flipped_byte_waits_while_more_may_come() -> None:
    data = bytearray(frame([PREDICTION], SALT))
    data[-1] ^= 1
    assert read_frames(bytes(data), SALT) == Frames(torn=True)
    assert read_frames(bytes(data + frame([LABEL], SALT)), SALT) == Frames(
        [LABEL], len(data + frame([LABEL], SALT)), damaged=[(0, len(data))]
    )


def test_a_length_that_lies_is_found_out_once_nothing_more_can_come() -> None:
    data = bytearray(frame([PREDICTION], SALT))
    data[6] ^= 0x40
    whole = bytes(data + frame([LABEL], SALT))
    assert read_frames(whole, SALT) == Frames(torn=True)
    assert read_frames(whole, SALT, final=True) == Frames([LABEL], len(whole), damaged=[(0, len(data))])


def test_records_of_a_newer_writer_are_kept_apart_and_the_others_read() -> None:
    shadow = ["shadow", 1, 2]
    data = bytes(frame([LABEL, shadow, EVENT], SALT))  # type: ignore[list-item]
    assert read_frames(data, SALT) == Frames([LABEL, EVENT], len(data), unknown=[msgspec.msgpack.encode(shadow)])


def test_a_payload_that_is_no_list_of_records_is_kept_apart_whole() -> None:
    data = bytes(frame({"a": 1}, SALT))  # type: ignore[arg-type]
    assert read_frames(data, SALT) == Frames([], len(data), unknown=[msgspec.msgpack.encode({"a": 1})])


def test_a_field_that_a_newer_writer_added_is_passed_over() -> None:
    longer = [*msgspec.to_builtins(LABEL), "new"]
    assert read_frames(bytes(frame([longer], SALT)), SALT).records == [LABEL]  # type: ignore[list-item]


def read_all(folder: Path) -> list[Written]:
    found: list[Written] = []
    for path in segments(folder):
        frames = read_frames(path.read_bytes(), salt_of(path), final=True)
        assert not frames.torn
        assert not frames.damaged
        found += frames.records
    return found


def test_an_append_is_one_write_and_whole_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = []
    real = os.write

    def write(fd: int, data: Any) -> int:
        writes.append(len(data))
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    writer = SpoolWriter(tmp_path, segment_bytes=1 << 20)
    writer.append([PREDICTION, LABEL, EVENT])
    assert len(writes) == 1
    assert read_all(tmp_path) == [PREDICTION, LABEL, EVENT]
    writer.close()


def test_a_segment_is_held_until_it_is_full_and_names_are_not_used_again(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, segment_bytes=300)
    names = set()
    for _ in range(6):
        writer.append([PREDICTION])
        names.update(segments(tmp_path))
    held = [path for path in names if not _gone(path)]
    assert len(names) > 1
    assert len(held) <= 1
    assert read_all(tmp_path) == [PREDICTION] * 6
    writer.close()
    assert all(_gone(path) for path in names)
    assert not list(tmp_path.glob("*.new"))


def _gone(path: Path) -> bool:
    with path.open("rb") as file:
        return writer_gone(file.fileno())


def test_closing_twice_and_closing_an_unused_writer_do_no_harm(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, segment_bytes=300)
    writer.close()
    writer.append([LABEL])
    writer.close()
    writer.close()
    assert read_all(tmp_path) == [LABEL]


def _short_write(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Let the call number ``at`` (from 0) write only half, as on a disk that fills up."""
    calls = [0]
    real = os.write

    def write(fd: int, data: Any) -> int:
        calls[0] += 1
        return real(fd, data[: len(data) // 2]) if calls[0] - 1 == at else real(fd, data)

    monkeypatch.setattr(os, "write", write)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_full_disk_refuses_the_append_and_keeps_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    writer = SpoolWriter(tmp_path, segment_bytes=1 << 20)
    _short_write(monkeypatch, at)
    kept: list[Record] = []
    for number in range(4):
        label = msgspec.structs.replace(LABEL, label_id=str(number))
        if number == at:
            with pytest.raises(LogUnavailable, match=os.strerror(errno.ENOSPC)):
                writer.append([label, label])
        else:
            writer.append([label, label])
            kept += [label, label]
    writer.close()
    assert sorted(read_all(tmp_path), key=lambda record: record.label_id) == kept  # type: ignore[union-attr]


def test_a_torn_frame_that_cannot_be_cut_off_is_left_out_by_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, length: int) -> None:
        raise OSError(errno.EIO, "broken")

    writer = SpoolWriter(tmp_path, segment_bytes=1 << 20)
    writer.append([LABEL])
    _short_write(monkeypatch, 0)
    monkeypatch.setattr(os, "ftruncate", refuse)
    with pytest.raises(LogUnavailable):
        writer.append([PREDICTION])
    writer.append([EVENT])
    writer.close()
    readings = [read_frames(path.read_bytes(), salt_of(path), final=True) for path in segments(tmp_path)]
    assert sorted((type(frames.records[0]).__name__, frames.torn) for frames in readings) == [("EventRecord", False), ("LabelRecord", True)]


def test_a_folder_that_cannot_be_made_is_an_unavailable_log(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    writer = SpoolWriter(tmp_path / "spool", segment_bytes=100)
    with pytest.raises(LogUnavailable):
        writer.append([LABEL])


def test_waiters_share_one_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = []
    real = os.fdatasync

    def slow(fd: int) -> None:
        # Long enough for the others to queue behind the first.
        syncs.append(fd)
        barrier.wait(5) if len(syncs) == 1 else None
        real(fd)

    barrier = threading.Barrier(2)
    monkeypatch.setattr(os, "fdatasync", slow)
    writer = SpoolWriter(tmp_path, segment_bytes=1 << 20, durable=True)
    first = threading.Thread(target=writer.settle, args=(writer.append([LABEL]),))
    first.start()
    while not syncs:
        time.sleep(0)
    tickets = [writer.append([LABEL]) for _ in range(8)]
    others = [threading.Thread(target=writer.settle, args=(ticket,)) for ticket in tickets]
    for thread in others:
        thread.start()
    barrier.wait(5)
    for thread in [first, *others]:
        thread.join()
    assert len(syncs) == 2
    writer.close()


def test_a_writer_that_is_not_durable_waits_for_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fdatasync")
    writer = SpoolWriter(tmp_path, segment_bytes=1 << 20)
    ticket = writer.append([LABEL])
    writer.settle(ticket)
    asyncio.run(writer.settled(ticket))
    writer.close()


def test_a_record_that_did_not_reach_the_disk_is_an_unavailable_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SpoolWriter(tmp_path, segment_bytes=1 << 20, durable=True)
    asyncio.run(writer.settled(writer.append([LABEL])))

    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        lost = writer.append([LABEL])
        with pytest.raises(LogUnavailable):
            asyncio.run(writer.settled(lost))
    writer.settle(writer.append([LABEL]))
    with pytest.raises(LogUnavailable):
        writer.settle(lost)
    writer.close()


def test_a_durable_segment_is_on_the_disk_when_the_next_one_begins(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, segment_bytes=1, durable=True)
    ticket = writer.append([LABEL])
    writer.settle(ticket)
    writer.settle(writer.append([LABEL]))
    writer.close()
    assert len(segments(tmp_path)) == 2


def test_a_batch_is_read_as_a_record_per_row() -> None:
    ids = [f"{number:036}" for number in range(2)]
    shared = ("iris", 3, "d" * 64, 7, "canary", 1.5, 0.25)
    rows, scores = b"\0\0\x80?\0\0\0@" * 2, b"\0\0\x80>\0\0@?\0\0@?\0\0\x80>"
    batch = BatchRecord("".join(ids), *shared, rows, scores, ("a", "b"), ["r/0", "r/1"], [None, "e"], fallback=True)
    data = bytes(frame([EVENT, batch, LABEL], SALT))

    frames = read_frames(data, SALT)

    told = '{"prediction_id":"%s","model":"iris","version":3,"prediction":"%s","confidence":0.75,"probabilities":%s,"fallback":true}'
    first = told % (ids[0], "b", '{"a":0.25,"b":0.75}')
    second = told % (ids[1], "a", '{"a":0.75,"b":0.25}')
    assert frames.rows == 4
    assert list(apart(frames.records)) == [
        EVENT,
        PredictionRecord(ids[0], *shared, rows[:8], scores[:8], first, request_id="r/0", fallback=True),
        PredictionRecord(ids[1], *shared, rows[8:], scores[8:], second, request_id="r/1", entity="e", fallback=True),
        LABEL,
    ]


def test_a_batch_beside_a_record_of_a_later_version_is_read_too() -> None:
    batch = BatchRecord("0" * 36, "m", 1, "d", 1, "champion", 1.0, 0.5, b"\0" * 4, b"\0\0\x80?", (), None, None, fallback=False)
    known = msgspec.msgpack.encode(batch)
    payload = b"\x92" + known + msgspec.msgpack.encode(["later", 1])
    header = bytes(frame([LABEL], SALT))[:4] + len(payload).to_bytes(4, "little")
    checksum = zlib.crc32(payload, zlib.crc32(header[4:], SALT))

    frames = read_frames(header + checksum.to_bytes(4, "little") + payload, SALT)

    (record,) = apart(frames.records)
    assert isinstance(record, PredictionRecord)
    assert json.loads(record.answer)["prediction"] == 1.0
    assert frames.unknown == [msgspec.msgpack.encode(["later", 1])]
