"""The chain against its signed heads: whatever is done to the record alone, to the file alone, or to the key is found."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update

from treadle.errors import ChainBroken, HeadsInvalid, HeadsMissing, HeadsRestarted, ReasonMissing, RestartUnknown, TreadleError
from treadle.state import events, heads, schema
from treadle.state.heads import accept, audit, begin, heads_file, key_file, sign, signed
from treadle.state.store import Store


def happen(store: Store, count: int = 1, actor: str = "ada") -> None:
    with store.write() as conn:
        for _ in range(count):
            events.append(conn, "thing.happened", at=1.0, actor=actor, data={})


@pytest.fixture
def home(store: Store, tmp_path: Path) -> Path:
    """Return the home of a workspace in which five events happened, signed at the first, the third and the fifth."""
    for count in (2, 2):
        with signed(store, tmp_path / "home"):
            happen(store, count)
    return tmp_path / "home"


def test_what_happens_in_the_block_is_signed_at_its_end(store: Store, home: Path) -> None:
    found = audit(store, home)
    assert (found.events, found.heads, found.unsigned) == (5, 3, 0)
    assert found.last is not None
    assert found.last.seq == 5


def test_a_block_in_which_nothing_happens_signs_nothing(store: Store, home: Path) -> None:
    happen(store)  # somebody else's, who has not signed yet
    with signed(store, home):
        pass
    assert (audit(store, home).heads, audit(store, home).unsigned) == (3, 1)


def test_a_block_that_fails_signs_what_had_happened(store: Store, home: Path) -> None:
    def work() -> None:
        with signed(store, home):
            happen(store)
            message = "it broke"
            raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="broke"):
        work()
    assert audit(store, home).heads == 4


def test_an_end_that_is_signed_is_not_signed_again(store: Store, home: Path) -> None:
    assert sign(store, home, at=2.0) is None
    assert audit(store, home).heads == 3


def test_those_who_sign_at_the_same_time_take_turns(store: Store, home: Path) -> None:
    def work() -> None:
        for _ in range(5):
            with signed(store, home):
                happen(store)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = audit(store, home)
    assert (found.events, found.unsigned) == (25, 0)


def test_the_key_is_for_its_owner_alone(home: Path) -> None:
    assert key_file(home).stat().st_mode & 0o777 == 0o600


def test_a_key_that_a_kill_left_half_written_is_none(store: Store, tmp_path: Path) -> None:
    key_file(tmp_path).parent.mkdir()
    key_file(tmp_path).with_name("key.new").write_bytes(b"")
    with signed(store, tmp_path):
        happen(store)
    assert len(key_file(tmp_path).read_bytes()) == heads.KEY_BYTES
    assert audit(store, tmp_path).unsigned == 0


def test_nothing_has_happened_and_nothing_is_signed(store: Store, tmp_path: Path) -> None:
    assert audit(store, tmp_path / "home") == heads.Audit(0, 0, None)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("length", [1, 5, 40, 150])
def test_a_torn_line_is_no_alarm_and_spoils_no_later_one(store: Store, home: Path, length: int) -> None:
    line = heads_file(home).read_bytes().splitlines()[0]
    with heads_file(home).open("ab") as file:
        file.write(line[:length])
    assert audit(store, home).heads == 3
    with signed(store, home):
        happen(store)
    assert (audit(store, home).heads, audit(store, home).unsigned) == (4, 0)


# how a record begins


def test_a_record_begins_signed_before_anything_happens(store: Store, tmp_path: Path) -> None:
    with signed(store, tmp_path):
        assert (audit(store, tmp_path).events, audit(store, tmp_path).heads) == (1, 1)
    assert begin(store, tmp_path, at=2.0) == 1
    with store.read() as conn:
        assert [event.kind for event in events.after(conn, 0)] == ["audit.began"]


@pytest.mark.parametrize("torn", [b"", b'{"at":1.0,"ha'], ids=["nothing", "a torn head"])
def test_who_was_killed_before_it_signed_is_made_up_for(store: Store, tmp_path: Path, torn: bytes) -> None:
    with store.write() as conn:
        events.append(conn, "audit.began", at=1.0, data={})
    heads_file(tmp_path).parent.mkdir()
    heads_file(tmp_path).write_bytes(torn)
    with signed(store, tmp_path):
        happen(store)
    assert (audit(store, tmp_path).events, audit(store, tmp_path).unsigned) == (2, 0)


def test_a_record_that_goes_on_costs_a_read(store: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> None:
        raise AssertionError

    monkeypatch.setattr(store, "write", never)
    shutil.rmtree(home / "audit")
    assert begin(store, home, at=2.0) == 5
    assert not (home / "audit").exists()


def test_an_event_that_nobody_signed_is_not_taken_for_a_beginning(store: Store, tmp_path: Path) -> None:
    happen(store)
    with signed(store, tmp_path):
        happen(store)
    with pytest.raises(HeadsRestarted):
        audit(store, tmp_path)


def test_another_home_on_the_same_database_tells_of_its_own_loss_alone(store: Store, home: Path, tmp_path: Path) -> None:
    with signed(store, tmp_path / "other"):
        happen(store)
    with pytest.raises(HeadsRestarted) as caught:
        audit(store, tmp_path / "other")
    with signed(store, home):
        happen(store)
    assert audit(store, home).restart is None
    accept(store, tmp_path / "other", caught.value.seq, actor="ada", reason="A second host.", at=3.0)
    assert audit(store, home).unsigned == 1


# what is found


def edit(store: Store, home: Path) -> None:
    with store.write() as conn:
        conn.execute(update(schema.events).where(schema.events.c.seq == 2).values(actor="mallory"))


def delete_one(store: Store, home: Path) -> None:
    with store.write() as conn:
        conn.execute(delete(schema.events).where(schema.events.c.seq == 2))


def truncate(store: Store, home: Path) -> None:
    with store.write() as conn:
        conn.execute(delete(schema.events).where(schema.events.c.seq > 4))


def insert_one(store: Store, home: Path) -> None:
    """Put an event in between, and number and chain the later ones anew."""
    with store.write() as conn:
        rows = [row._asdict() for row in conn.execute(select(schema.events).order_by(schema.events.c.seq))]
        conn.execute(delete(schema.events))
        for row in [*rows[:2], {**rows[1], "actor": "mallory"}, *rows[2:]]:
            events.append(conn, row["kind"], at=row["at"], model=row["model"], actor=row["actor"], data=json.loads(row["data"]))


def edit_to_nonsense(store: Store, home: Path) -> None:
    with store.write() as conn:
        conn.execute(update(schema.events).where(schema.events.c.seq == 2).values(at=float("inf")))


def empty(store: Store, home: Path) -> None:
    with store.write() as conn:
        conn.execute(delete(schema.events))


def rewrite(store: Store, home: Path) -> None:
    empty(store, home)
    happen(store, 7, actor="mallory")


def rewrite_and_sign(store: Store, home: Path) -> None:
    """Write all anew with a command of Treadle, which signs the end that it finds."""
    rewrite(store, home)
    sign(store, home, at=9.0)


def rewrite_lose_and_sign(store: Store, home: Path) -> None:
    """Write all anew, take every head away, and let an ordinary command sign."""
    rewrite(store, home)
    shutil.rmtree(home / "audit")
    with signed(store, home):
        happen(store)


def rewrite_empty_and_watch(store: Store, home: Path) -> None:
    """As above, with the file emptied and the controller's signing."""
    rewrite(store, home)
    heads_file(home).write_text("")
    sign(store, home, at=9.0)


def edit_heads(store: Store, home: Path) -> None:
    lines = heads_file(home).read_text().splitlines()
    heads_file(home).write_text("\n".join([json.dumps({**json.loads(lines[0]), "hash": "f" * 64}), *lines[1:]]))


def swap_heads(store: Store, home: Path) -> None:
    heads_file(home).write_text("\n".join(reversed(heads_file(home).read_text().splitlines())))


def spoil_heads(store: Store, home: Path) -> None:
    heads_file(home).write_bytes(b"\xff\n")


def remove_heads(store: Store, home: Path) -> None:
    heads_file(home).unlink()


def empty_heads(store: Store, home: Path) -> None:
    heads_file(home).write_text("")


def remove_key(store: Store, home: Path) -> None:
    key_file(home).unlink()


def remove_key_and_sign(store: Store, home: Path) -> None:
    remove_key(store, home)
    with signed(store, home):
        happen(store)


def spell_no_number(store: Store, home: Path) -> None:
    lines = heads_file(home).read_text().splitlines()
    heads_file(home).write_text("\n".join([json.dumps({**json.loads(lines[0]), "at": float("nan")}), *lines[1:]]))


def remove_both(store: Store, home: Path) -> None:
    remove_heads(store, home)
    remove_key(store, home)


def foreign_key(store: Store, home: Path) -> None:
    key_file(home).write_bytes(b"k" * 32)


@pytest.mark.parametrize(
    ("attack", "error", "said"),
    [
        (edit, ChainBroken, "from number 2 on"),
        (delete_one, ChainBroken, "from number 2 on"),
        (insert_one, ChainBroken, "from number 3 on.*anew"),
        (edit_to_nonsense, ChainBroken, "from number 2 on"),
        (truncate, ChainBroken, "from number 5 on.*signed up to number 5"),
        (empty, ChainBroken, "from number 1 on.*signed up to number 5"),
        (rewrite, ChainBroken, "from number 1 on.*anew"),
        (rewrite_and_sign, ChainBroken, "from number 1 on.*anew"),
        (rewrite_lose_and_sign, HeadsRestarted, "only from number 9 on.*the 8 before"),
        (rewrite_empty_and_watch, HeadsRestarted, "only from number 8 on.*the 7 before"),
        (edit_heads, HeadsInvalid, "Line 1 .*signature"),
        (swap_heads, HeadsInvalid, "Line 2 .*goes back"),
        (spoil_heads, HeadsInvalid, "Line 1 .*not a signed head"),
        (spell_no_number, HeadsInvalid, "Line 1 .*not a signed head"),
        (remove_key_and_sign, HeadsRestarted, "only from number 7 on.*the 6 before"),
        (remove_heads, HeadsMissing, "no file of signed heads"),
        (empty_heads, HeadsMissing, "no signed head"),
        (remove_key, HeadsMissing, "no key that signs them"),
        (remove_both, HeadsMissing, "no file of signed heads and no key"),
        (foreign_key, HeadsInvalid, "Line 1 .*signature"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_attack_is_found(
    store: Store, home: Path, attack: Callable[[Store, Path], None], error: type[TreadleError], said: str
) -> None:
    attack(store, home)
    with pytest.raises(error, match=said):
        audit(store, home)


@contextmanager
def restored(store: Store, home: Path) -> Iterator[None]:
    """Put events and heads back after the block as they were before it."""
    with store.read() as conn:
        rows = [row._asdict() for row in conn.execute(select(schema.events))]
    kept = {path: path.read_bytes() for path in (heads_file(home), key_file(home))}
    yield
    with store.write() as conn:
        conn.execute(delete(schema.events))
        conn.execute(insert(schema.events), rows)
    for path, content in kept.items():
        path.write_bytes(content)


OTHERWISE = {"at": 99.5, "kind": "other", "model": "other", "actor": "mallory", "data": '{"a":1}', "hash": "f" * 64}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_one_change_to_the_events_is_found(store: Store, home: Path, data: st.DataObject) -> None:
    seq, kind = data.draw(st.integers(1, 5)), data.draw(st.sampled_from(["edit", "delete", "truncate"]))
    rows = schema.events
    with restored(store, home):
        with store.write() as conn:
            if kind == "edit":
                column = data.draw(st.sampled_from(sorted(OTHERWISE)))
                conn.execute(update(rows).where(rows.c.seq == seq).values({column: OTHERWISE[column]}))
            else:
                conn.execute(delete(rows).where(rows.c.seq == seq if kind == "delete" else rows.c.seq >= seq))
        with pytest.raises(ChainBroken) as caught:
            audit(store, home)
        assert caught.value.seq == seq
    assert audit(store, home).unsigned == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_one_change_to_the_heads_or_their_key_is_found_or_told_and_forges_none(store: Store, home: Path, data: st.DataObject) -> None:
    """Nothing makes a head that was never signed be believed; where some are fewer, what the last one does not cover is told."""
    path = data.draw(st.sampled_from([heads_file(home), key_file(home)]))
    before, written = events.read_heads(heads_file(home), key_file(home).read_bytes()), path.read_bytes()
    start = data.draw(st.integers(0, len(written) - 1))
    stop = data.draw(st.integers(start, len(written)))
    with restored(store, home):
        path.write_bytes(written[:start] + data.draw(st.binary(max_size=3)) + written[stop:])
        try:
            found = audit(store, home)
        except (HeadsInvalid, HeadsMissing):
            pass
        else:
            after = events.read_heads(heads_file(home), key_file(home).read_bytes())
            assert set(after) <= set(before)
            assert found.unsigned == 5 - after[-1].seq
    assert audit(store, home).unsigned == 0


# what is accepted


@pytest.fixture
def lost(store: Store, home: Path) -> int:
    """Lose the heads of the workspace, and let a command sign. Return the number of the event that tells of it."""
    return lose(store, home)


def lose(store: Store, home: Path) -> int:
    shutil.rmtree(home / "audit")
    with signed(store, home):
        happen(store)
    with pytest.raises(HeadsRestarted) as caught:
        audit(store, home)
    return caught.value.seq


def test_a_loss_that_is_accepted_is_still_told(store: Store, home: Path, lost: int) -> None:
    found = accept(store, home, lost, actor="ada", reason="The disk was new.", at=9.0)
    assert found == audit(store, home)
    assert (found.events, found.unsigned) == (8, 0)  # to accept is an event, and signed
    assert found.restart is not None
    assert (found.restart.seq, found.restart.unsigned, found.restart.actor, found.restart.reason) == (7, 6, "ada", "The disk was new.")
    with store.read() as conn:
        (event,) = events.newest(conn, 1)
    assert (event.kind, event.actor, event.data["reason"]) == ("audit.accepted", "ada", "The disk was new.")
    with signed(store, home):
        happen(store)
    assert audit(store, home).restart == found.restart


@pytest.mark.parametrize(
    "attack", [edit, delete_one, truncate, empty, rewrite, remove_heads, empty_heads, remove_key, remove_both, foreign_key, edit_heads]
)
def test_what_is_accepted_hides_nothing_else(store: Store, home: Path, lost: int, attack: Callable[[Store, Path], None]) -> None:
    accept(store, home, lost, actor="ada", reason="The disk was new.", at=9.0)
    attack(store, home)
    with pytest.raises((ChainBroken, HeadsInvalid, HeadsMissing)):
        audit(store, home)


@pytest.mark.parametrize("attack", [remove_heads, empty_heads, remove_key, remove_both, rewrite_lose_and_sign, rewrite_empty_and_watch])
def test_a_second_loss_must_be_accepted_again(store: Store, home: Path, lost: int, attack: Callable[[Store, Path], None]) -> None:
    accept(store, home, lost, actor="ada", reason="The disk was new.", at=9.0)
    attack(store, home)
    with signed(store, home):
        happen(store)
    with pytest.raises(HeadsRestarted) as caught:
        audit(store, home)
    with pytest.raises(RestartUnknown, match=f"that is event {caught.value.seq}"):
        accept(store, home, lost, actor="ada", reason="Again.", at=10.0)
    found = accept(store, home, caught.value.seq, actor="ada", reason="Again.", at=10.0).restart
    assert found is not None
    assert found.unsigned == caught.value.seq - 1


def test_an_acceptance_written_into_the_database_counts_for_nothing(store: Store, home: Path, lost: int) -> None:
    """Who has the database alone can add an event that a command signs later, but cannot say yes: that takes the key."""
    accept(store, home, lost, actor="ada", reason="The disk was new.", at=9.0)
    with store.read() as conn:
        (copy,) = events.newest(conn, 1, kind="audit.accepted")
    again = lose(store, home)
    for facts in (copy.data, {**copy.data, "restart": again}, {"restart": again, "unsigned": again - 1, "reason": "a"}):
        with store.write() as conn:
            events.append(conn, "audit.accepted", at=copy.at, actor="ada", data=facts)
        sign(store, home, at=10.0)
        with pytest.raises(HeadsRestarted, match=f"only from number {again} on"):
            audit(store, home)


def test_only_what_waits_is_accepted_and_with_a_reason(store: Store, home: Path) -> None:
    with pytest.raises(RestartUnknown, match="Event 1 tells of no loss"):
        accept(store, home, 1, actor="ada", reason="a", at=9.0)
    number = lose(store, home)
    with pytest.raises(ReasonMissing):
        accept(store, home, number, actor="ada", reason=" ", at=9.0)
    accept(store, home, number, actor="ada", reason="a", at=9.0)
    with pytest.raises(RestartUnknown):
        accept(store, home, number, actor="ada", reason="Twice.", at=9.0)


def test_where_more_is_wrong_than_a_loss_nothing_is_accepted(store: Store, home: Path, lost: int) -> None:
    edit(store, home)
    with pytest.raises(ChainBroken):
        accept(store, home, lost, actor="ada", reason="a", at=9.0)


def test_heads_whose_key_is_lost_are_kept_aside(store: Store, home: Path) -> None:
    old = heads_file(home).read_bytes()
    remove_key_and_sign(store, home)
    (kept,) = (home / "audit").glob("heads-*.jsonl")
    assert kept.read_bytes() == old
