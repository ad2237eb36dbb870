"""The chain of events: every edit, deletion, cut and rewriting of it is found."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, update

from treadle.errors import ChainBroken, HeadsInvalid
from treadle.spec import canonical_json
from treadle.state import events, schema
from treadle.state.events import Head, append, read_heads, sign_head, verify
from treadle.state.store import Store

KEY = b"a key"
EDITS: dict[str, Any] = {"at": 99.5, "kind": "other", "model": "other", "actor": "mallory", "data": "{}", "hash": "f" * 64}


class Undo(Exception):
    """Leave a transaction without a trace."""


@contextmanager
def undone(store: Store) -> Iterator[Connection]:
    """Open a transaction that is rolled back at the end of the block."""
    with suppress(Undo), store.write() as conn:
        yield conn
        raise Undo


def fill(conn: Connection, count: int) -> None:
    """Append ``count`` events."""
    for number in range(1, count + 1):
        append(conn, "thing.happened", at=number, model="churn" if number % 2 else None, data={"number": number, "text": "naïve"})


def test_an_event_is_kept_as_it_was_told(store: Store) -> None:
    with store.write() as conn:
        told = [append(conn, "a", at=1, data={"b": [1.5, None]}), append(conn, "b", at=2.5, model="churn", actor="me", data={})]
    with store.read() as conn:
        assert events.after(conn, 0) == told
        assert events.after(conn, 1) == told[1:]
        assert events.after(conn, 0, limit=1) == told[:1]
        assert [event.seq for event in told] == [1, 2]
        assert verify(conn) == 2


def test_an_empty_chain_is_whole_and_has_no_head(store: Store) -> None:
    with store.read() as conn:
        assert verify(conn) == 0
        assert sign_head(conn, KEY, 1.0) is None


def test_an_event_whose_change_is_rolled_back_never_happened(store: Store) -> None:
    with undone(store) as conn:
        fill(conn, 1)
        assert verify(conn) == 1
    with store.read() as conn:
        assert verify(conn) == 0


def test_what_is_not_json_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="JSON"), store.write() as conn:
        append(conn, "a", at=1.0, data={"value": float("nan")})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 6), st.data())
def test_an_edited_event_is_found(store: Store, count: int, data: st.DataObject) -> None:
    seq = data.draw(st.integers(1, count))
    column = data.draw(st.sampled_from(sorted(EDITS)))
    with undone(store) as conn:
        fill(conn, count)
        conn.execute(update(schema.events).where(schema.events.c.seq == seq).values({column: EDITS[column]}))
        with pytest.raises(ChainBroken) as caught:
            verify(conn)
        assert caught.value.seq == seq


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(2, 6), st.data())
def test_a_deleted_event_is_found_even_if_the_others_move_up(store: Store, count: int, data: st.DataObject) -> None:
    seq = data.draw(st.integers(1, count - 1))
    close_the_gap = data.draw(st.booleans())
    with undone(store) as conn:
        fill(conn, count)
        conn.execute(delete(schema.events).where(schema.events.c.seq == seq))
        for later in range(seq + 1, count + 1) if close_the_gap else ():
            conn.execute(update(schema.events).where(schema.events.c.seq == later).values(seq=later - 1))
        with pytest.raises(ChainBroken) as caught:
            verify(conn)
        assert caught.value.seq == seq


def test_two_events_that_change_places_are_found(store: Store) -> None:
    with store.write() as conn:
        fill(conn, 3)
        for old, new in ((2, 9), (3, 2), (9, 3)):
            conn.execute(update(schema.events).where(schema.events.c.seq == old).values(seq=new))
    with store.read() as conn, pytest.raises(ChainBroken) as caught:
        verify(conn)
    assert caught.value.seq == 2


@pytest.mark.parametrize("kept", [0, 3])
def test_a_cut_chain_is_found_by_its_head_alone(store: Store, kept: int) -> None:
    with store.write() as conn:
        fill(conn, 5)
        head = sign_head(conn, KEY, 9.0)
        assert head is not None
        conn.execute(delete(schema.events).where(schema.events.c.seq > kept))
    with store.read() as conn:
        assert verify(conn) == kept
        with pytest.raises(ChainBroken, match="signed up to number 5") as caught:
            verify(conn, [head])
    assert caught.value.seq == kept + 1


def test_a_chain_that_was_written_anew_is_found_by_its_head_alone(store: Store) -> None:
    with store.write() as conn:
        fill(conn, 3)
        head = sign_head(conn, KEY, 9.0)
        assert head is not None
        conn.execute(delete(schema.events))
        for number in range(1, 6):
            append(conn, "thing.happened", at=number, actor="mallory", data={})
    with store.read() as conn:
        assert verify(conn) == 5
        with pytest.raises(ChainBroken, match="anew") as caught:
            verify(conn, [head])
    assert caught.value.seq == 3


def test_a_chain_that_grew_after_its_heads_is_whole(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "audit" / "heads.jsonl"
    for _ in range(3):
        with store.write() as conn:
            fill(conn, 2)
            head = sign_head(conn, KEY, 9.0)
        assert head is not None
        events.append_head(path, head)
    with store.write() as conn:
        fill(conn, 1)
    heads = read_heads(path, KEY)
    assert [one.seq for one in heads] == [2, 4, 6]
    with store.read() as conn:
        assert verify(conn, heads) == 7


def written(path: Path, *heads: Head) -> Path:
    """Write ``heads`` to a file as they are."""
    path.write_bytes(b"".join(canonical_json(asdict(head)) + b"\n" for head in heads))
    return path


def test_heads_that_cannot_be_trusted_are_told_by_line(store: Store, tmp_path: Path) -> None:
    with store.write() as conn:
        fill(conn, 1)
        first = sign_head(conn, KEY, 1.0)
        fill(conn, 1)
        second = sign_head(conn, KEY, 2.0)
    assert first is not None
    assert second is not None
    path = tmp_path / "heads.jsonl"
    assert read_heads(path, KEY) == []
    assert read_heads(written(path, first, second), KEY) == [first, second]
    with pytest.raises(HeadsInvalid, match=r"Line 1.*signature"):
        read_heads(path, b"another key")
    with pytest.raises(HeadsInvalid, match=r"Line 2.*signature"):
        read_heads(written(path, first, replace(second, seq=1)), KEY)
    with pytest.raises(HeadsInvalid, match=r"Line 2.*back from event 2 to 1"):
        read_heads(written(path, second, first), KEY)
    path.write_text('{"seq": 1}\n')
    with pytest.raises(HeadsInvalid, match=r"Line 1.*not a signed head"):
        read_heads(path, KEY)
