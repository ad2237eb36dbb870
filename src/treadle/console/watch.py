"""Tell what is recorded while a long command runs: the events, as they come."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import func, select

from treadle.console.narration import tell
from treadle.console.screen import Screen
from treadle.errors import StoreUnavailable
from treadle.state import events
from treadle.state.schema import events as event_table
from treadle.state.store import Store

LOOK_SECONDS = 0.5


class Watch:
    """Shows each event that is recorded after the watch began, once and in order."""

    def __init__(self, store: Store, screen: Screen) -> None:
        self._store = store
        self._screen = screen
        with store.read() as conn:
            self._seen: int = conn.execute(select(func.max(event_table.c.seq))).scalar() or 0

    def tell(self) -> None:
        """Show what is new."""
        with self._store.read() as conn:
            fresh = events.after(conn, self._seen)
        for event in fresh:
            self._seen = event.seq
            line = tell(event)
            self._screen.line(line.text, line.style, at=event.at)

    @contextmanager
    def going(self) -> Iterator[None]:
        """Show what is new for as long as the block runs; while the store is away there is nothing to show."""
        stop = threading.Event()

        def look() -> None:
            while not stop.wait(LOOK_SECONDS):
                with suppress(StoreUnavailable):
                    self.tell()

        thread = threading.Thread(target=look, name="watch")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            with suppress(StoreUnavailable):
                self.tell()
