"""The circuit breaker of a version: after some failures in a row it is left alone for a while, and then tried with one call."""

from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """Closed it lets every call through, open none, and half open one, whose end decides. Times are seconds of any one clock.

    A failure is counted by whoever makes the call, before another version is asked: a breaker that saw only what comes of both
    would never open.
    """

    failures: int = 0
    """Failures since the last answer."""
    opened_at: float | None = None
    probing: bool = False

    @property
    def calm(self) -> bool:
        """Whether there is nothing to ask it, nor to tell it of an answer."""
        return not self.failures

    def admits(self, now: float, *, reset: float) -> bool:
        """Tell whether a call may be made; after ``reset`` seconds one may. Whoever is told so makes it, and says how it ended."""
        if self.opened_at is None:
            return True
        if self.probing or self.rests(now, reset=reset) > 0:
            return False
        self.probing = True
        return True

    def rests(self, now: float, *, reset: float) -> float:
        """Return the seconds until an open breaker lets a call through; 0 where it does already."""
        return 0.0 if self.opened_at is None else max(self.opened_at + reset - now, 0.0)

    def succeeded(self) -> bool:
        """Close: a call was answered. Return whether it was open."""
        was_open = self.opened_at is not None
        self.failures, self.opened_at, self.probing = 0, None, False
        return was_open

    def failed(self, now: float, *, threshold: int) -> bool:
        """Count a failure; return whether it has opened the breaker, which was closed. A probe that fails opens it anew."""
        self.failures += 1
        opens = self.opened_at is None and self.failures >= threshold
        if opens or self.probing:
            self.opened_at, self.probing = now, False
        return opens

    def abandoned(self) -> None:
        """Take back a call that was let through: it has shown nothing about the version."""
        self.probing = False
