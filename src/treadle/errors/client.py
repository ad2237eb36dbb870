"""Failures of a conversation with a running service, as its caller meets them."""

from collections.abc import Sequence

from treadle.errors.base import TreadleError
from treadle.errors.bundle import FieldProblem


class ServiceUnreachable(TreadleError):
    """Nothing answers at the address of the service: what was asked has not reached it, in none of ``attempts``."""

    def __init__(self, url: str, reason: str, *, attempts: int = 1) -> None:
        self.attempts = attempts
        self.lost = 0
        super().__init__(
            f"No service answers at {url}: {reason.rstrip('.')}{_times(attempts)}.",
            fix="Start it with `treadle serve`, or name another with --url.",
        )


class AnswerLost(ServiceUnreachable):
    """A request was sent and no answer came. Of its ``attempts`` so many as are ``lost`` may have been carried out."""

    def __init__(self, url: str, reason: str, *, attempts: int = 1, lost: int = 1) -> None:
        self.attempts = attempts
        self.lost = lost
        TreadleError.__init__(
            self,
            f"The service at {url} was asked and did not answer: {reason.rstrip('.')}{_times(attempts)}.",
            fix="It may have done what was asked all the same; docs/guides/client.md says what the log then holds, and how to count it.",
        )


class DeadlinePassed(TreadleError):
    """A call has no answer at its deadline; it was sent ``attempts`` times, of which ``lost`` may have been carried out."""

    def __init__(self, url: str, seconds: float, last: str, *, attempts: int, lost: int = 0) -> None:
        self.attempts = attempts
        self.lost = lost
        super().__init__(
            f"The service at {url} gave no answer within the deadline of {seconds:g} s: {last.rstrip('.')}{_times(attempts)}.",
            fix="Give a longer deadline, or ask for less at once; docs/guides/client.md says what the log then holds.",
        )


class RequestRefused(TreadleError):
    """The service refused a request. ``status``, ``said`` and ``fields``, a line per refused value, are its own words.

    ``lost``: how many earlier attempts had no answer, and may have been carried out.
    """

    verb = "refuses this"

    def __init__(
        self, url: str, status: int, said: str, *, fields: Sequence[FieldProblem] = (), fix: str = "", retry_after: float | None = None
    ) -> None:
        self.url = url
        self.status = status
        self.said = said
        self.fields = tuple(fields)
        self.retry_after = retry_after
        self.lost = 0
        super().__init__(
            f"The service at {url} {self.verb} ({status}): {said}",
            problems=[f"{one.field or 'the row'} is {one.value!r}; allowed: {one.allowed}" for one in fields],
            fix=fix or "docs/guides/api.md describes requests and errors.",
        )


class ServiceUnavailable(RequestRefused):
    """The service cannot do this now (503), or not so much of it (429). ``retry_after``: seconds that it asks for, if it does."""

    verb = "cannot do this now"


class NoService(TreadleError):
    """Something else than Treadle answers at the address."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"What answers at {url} is no service of Treadle: {reason}",
            fix="`treadle serve` says at which address it serves; name it with --url.",
        )


class BatchUnfinished(TreadleError):
    """A long batch goes in several requests, and a later one of them failed.

    The first ``done`` items are done and in the log; ``answered`` has their predictions, if it is predictions that were asked for.
    The error's cause is the failure of the later request.
    """

    def __init__(
        self, done: int, total: int, reason: str, *, answered: Sequence[object] = (), problems: Sequence[str] = (), fix: str = ""
    ) -> None:
        self.done = done
        self.answered = tuple(answered)
        super().__init__(f"Only the first {done} of {total} are done. {reason}", problems=problems, fix=fix)


class NotSendable(TreadleError):
    """What was given cannot stand in a request."""

    def __init__(self, what: str, reason: str, fix: str) -> None:
        super().__init__(f"The {what} cannot be sent: {reason.rstrip('.')}.", fix=fix)


def _times(attempts: int) -> str:
    return f" ({attempts} attempts)" if attempts > 1 else ""
