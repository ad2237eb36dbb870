"""A place that hosts share, and that goes away in the middle of something."""

import sys

from treadle.bundle.remote import Remote
from treadle.errors import RemoteUnavailable


class Broken(Remote):
    """A place that takes and gives so many objects, then none. What it has, it goes on telling."""

    left = sys.maxsize

    def _spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise RemoteUnavailable(self.url, "the line is dead", what="this")

    def read(self, name: str) -> bytes | None:
        self._spend()
        return super().read(name)

    def write(self, name: str, content: bytes) -> None:
        self._spend()
        super().write(name, content)

    def remove(self, name: str) -> None:
        self._spend()
        super().remove(name)


class Gone(Broken):
    """A place that is gone after so many questions of any kind."""

    def made(self, name: str) -> float | None:
        self._spend()
        return super().made(name)

    def names(self, under: str = "") -> list[str]:
        self._spend()
        return super().names(under)
