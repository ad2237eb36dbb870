import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from treadle.console import watch
from treadle.console.screen import Screen
from treadle.console.watch import Watch
from treadle.errors import StoreUnavailable
from treadle.state import events
from treadle.state.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    yield opened
    opened.close()


def record(store: Store, reason: str) -> None:
    with store.write() as conn:
        events.append(conn, "person.needed", at=1.0, model="iris", data={"reason": reason})


class Lines(io.StringIO):
    """What is shown, and a flag for each line."""

    def __init__(self) -> None:
        super().__init__()
        self.came = threading.Event()

    def write(self, text: str) -> int:
        self.came.set()
        return super().write(text)


def screen(file: Lines) -> Screen:
    return Screen(Console(file=file, width=200, highlight=False))


def test_what_was_there_before_is_not_told_and_what_comes_is_told_once(store: Store) -> None:
    record(store, "old")
    file = Lines()
    seen = Watch(store, screen(file))
    record(store, "new")
    seen.tell()
    seen.tell()
    assert [line.split("  ")[-1] for line in file.getvalue().splitlines()] == ["iris: a person is needed: new"]


def test_events_are_told_while_the_block_runs_and_the_last_at_its_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.01)
    file = Lines()
    with Watch(store, screen(file)).going():
        record(store, "first")
        assert file.came.wait(30)
        record(store, "last")
    assert [line.split(": ")[-1] for line in file.getvalue().splitlines()] == ["first", "last"]
    assert not any(thread.name == "watch" for thread in threading.enumerate())


def test_a_store_that_is_away_ends_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.01)
    seen, looked = Watch(store, screen(Lines())), threading.Event()

    def away() -> None:
        looked.set()
        raise StoreUnavailable("sqlite://", "gone")

    monkeypatch.setattr(seen, "tell", away)
    with seen.going():
        assert looked.wait(30)
