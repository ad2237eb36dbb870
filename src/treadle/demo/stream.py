"""Simulated traffic in the background of a demo."""

import asyncio
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from treadle.simulation.traffic import Tally, Traffic

LONGEST_SECONDS = 600.0


class Stream:
    """Runs several clients in one thread, from entry to exit, and never longer than ten minutes."""

    def __init__(self, clients: Sequence[Traffic]) -> None:
        self._clients = clients
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self.began = 0.0

    def __enter__(self) -> Self:
        self.began = time.time()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> list[Tally]:
        """Stop sending, tell the labels that are due, and return what each client sent and got."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        if self._error is not None:
            raise self._error
        return [client.tally for client in self._clients]

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._send())
        except BaseException as error:  # noqa: BLE001 -- handed to the thread that waits for us
            self._error = error
        finally:
            self._loop.close()

    async def _send(self) -> None:
        await asyncio.gather(*(client.run(LONGEST_SECONDS, stop=self._stop) for client in self._clients))
        await asyncio.gather(*(client.settle() for client in self._clients))
