"""Ids: UUIDs of version 7, in the order of their times, never the same twice."""

import os
import threading
import uuid

from hypothesis import given
from hypothesis import strategies as st

from treadle.serving.ids import uuid7, uuids7


@given(st.floats(0, 2**40))
def test_an_id_is_a_uuid_of_version_7_that_holds_its_time(now: float) -> None:
    made = uuid.UUID(uuid7(now))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == int(now * 1000) & 0xFFFF_FFFF_FFFF


@given(st.floats(0, 2**40), st.integers(0, 9))
def test_many_at_once_are_as_one(now: float, count: int) -> None:
    made = uuids7(now, count)
    assert len(set(made)) == count
    for name in made:
        assert str(uuid.UUID(name)) == name
        assert (uuid.UUID(name).version, uuid.UUID(name).variant) == (7, uuid.RFC_4122)
        assert uuid.UUID(name).int >> 80 == int(now * 1000) & 0xFFFF_FFFF_FFFF


def test_ids_sort_by_their_time() -> None:
    made = [uuid7(1_800_000_000 + number / 1000) for number in range(1000)]
    assert made == sorted(made)


def test_no_two_are_the_same_though_threads_make_them() -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend([uuid7(1.0) for _ in range(5000)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 20_000


def test_a_child_process_gives_out_others() -> None:
    uuid7(1.0)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, "".join(uuid7(1.0) for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 36 * 100).decode()
    os.close(reader)
    os.close(writer)
    assert not {theirs[start : start + 36] for start in range(0, len(theirs), 36)} & {uuid7(1.0) for _ in range(1000)}
