"""The chain against its signed heads: whatever is done to the record alone, to the file alone, or to the key is found."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from treadle.errors import ChainBroken, HeadsInvalid, HeadsMissing, HeadsRestarted, TreadleError
from treadle.state import events, heads, schema
from treadle.state.heads import audit, heads_file, key_file, sign, signed
from treadle.state.store import Store


def happen(store: Store, count: int = 1, actor: str = "ada") -> None:
    with store.write() as conn:
        for _ in range(count):
            events.append(conn, "thing.happened", at=1.0, actor=actor, data={})


@pytest.fixture
def home(store: Store, tmp_path: Path) -> Path:
    """Return the home of a workspace in which five events happened, signed at the third and at the fifth."""
    for count in (3, 2):
        with signed(store, tmp_path / "home"):
            happen(store, count)
    return tmp_path / "home"


def test_what_happens_in_the_block_is_signed_at_its_end(store: Store, home: Path) -> None:
    found = audit(store, home)
    assert (found.events, found.heads, found.unsigned) == (5, 2, 0)
    assert found.last is not None
    assert found.last.seq == 5


def test_a_block_in_which_nothing_happens_signs_nothing(store: Store, home: Path) -> None:
    happen(store)  # somebody else's, who has not signed yet
    with signed(store, home):
        pass
    assert (audit(store, home).heads, audit(store, home).unsigned) == (2, 1)


def test_a_block_that_fails_signs_what_had_happened(store: Store, home: Path) -> None:
    def work() -> None:
        with signed(store, home):
            happen(store)
            message = "it broke"
            raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="broke"):
        work()
    assert audit(store, home).heads == 3


def test_an_end_that_is_signed_is_not_signed_again(store: Store, home: Path) -> None:
    assert sign(store, home, at=2.0) is None
    assert audit(store, home).heads == 2


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


def test_nothing_has_happened_and_nothing_is_signed(store: Store, tmp_path: Path) -> None:
    assert audit(store, tmp_path / "home") == heads.Audit(0, 0, None)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("length", [1, 5, 40, 150])
def test_a_torn_line_is_no_alarm_and_spoils_no_later_one(store: Store, home: Path, length: int) -> None:
    line = heads_file(home).read_bytes().splitlines()[0]
    with heads_file(home).open("ab") as file:
        file.write(line[:length])
    assert audit(store, home).heads == 2
    with signed(store, home):
        happen(store)
    assert (audit(store, home).heads, audit(store, home).unsigned) == (3, 0)


def edit(store: Store, home: Path) -> None:
    with store.write() as conn:
        conn.execute(update(schema.events).where(schema.events.c.seq == 2).values(actor="mallory"))


def delete_one(store: Store, home: Path) -> None:
    with store.write() as conn:
        conn.execute(delete(schema.events).where(schema.events.c.seq == 2))


def truncate(store: Store, home: Path) -> None:
    with store.write() as conn:
        conn.execute(delete(schema.events).where(schema.events.c.seq > 4))


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
        (truncate, ChainBroken, "from number 5 on.*signed up to number 5"),
        (empty, ChainBroken, "from number 1 on.*signed up to number 5"),
        (rewrite, ChainBroken, "from number 3 on.*anew"),
        (rewrite_and_sign, ChainBroken, "from number 3 on.*anew"),
        (rewrite_lose_and_sign, HeadsRestarted, "only from number 9 on.*The 7 events before"),
        (rewrite_empty_and_watch, HeadsRestarted, "only from number 8 on.*The 7 events before"),
        (edit_heads, HeadsInvalid, "Line 1 .*signature"),
        (swap_heads, HeadsInvalid, "Line 2 .*goes back"),
        (spoil_heads, HeadsInvalid, "Line 1 .*not a signed head"),
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
