"""Threads that go on calling a service until a test has seen enough."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

PATIENCE = 60.0
"""Seconds until whatever a test waits for must have come about."""


def until(
    true: Callable[[], object], what: str | Callable[[], str] = "it comes about", seconds: float = PATIENCE, *, every: float = 0.02
) -> float:
    """Wait until something is so; return the seconds that it took. ``what`` it is, is said if it never is."""
    start = time.monotonic()
    while not true():
        if time.monotonic() > start + seconds:
            raise AssertionError(f"after {seconds:.0f} s it is still not so: {what() if callable(what) else what}")
        time.sleep(every)
    return time.monotonic() - start


@dataclass
class Crew(ABC):
    """``count`` threads that each run ``work``. Use as a context manager: at its end they are told to stop, and waited for."""

    count = 3
    stopping: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _threads: list[threading.Thread] = field(default_factory=list, init=False, repr=False)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self.work, args=(number,)) for number in range(self.count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    @abstractmethod
    def work(self, number: int) -> None:
        """Do the work of the thread of this number until ``stopping`` is set."""
