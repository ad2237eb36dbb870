"""Failures of the state: the store, the events, deployments, turns, leases."""

from collections.abc import Iterable
from pathlib import Path

from treadle.errors.base import TreadleError, choose_from
from treadle.times import when

_DAMAGED = ("malformed", "not a database")
"""What SQLite says of a file that is damaged."""

_LOOK = "Look whether the database is up and its disk has room; TREADLE_STORE_URL names another one."
_RESTORE = (
    "The file is damaged. Services go on answering and keep what they log in the spool: leave that folder where it is. "
    "Lay a backup out beside it: `treadle restore BACKUP --into FOLDER`."
)


class StoreUnavailable(TreadleError):
    """The state store cannot be reached, is locked, full or damaged."""

    def __init__(self, url: str, reason: str, *, fix: str = "") -> None:
        instead = _RESTORE if any(sign in reason for sign in _DAMAGED) else _LOOK
        super().__init__(f"The state store {url} cannot be used: {reason}", fix=fix or instead)


class SchemaNewer(StoreUnavailable):
    """A newer Treadle has changed the schema of the store; this one would write what that one cannot read."""

    def __init__(self, url: str, found: str, head: str) -> None:
        super().__init__(
            url,
            f"its schema is at revision {found}, and this Treadle knows none after {head}. Nothing was changed.",
            fix="Run the Treadle that has upgraded it: `pip install --upgrade treadle`, then `treadle doctor`.",
        )


class SchemaUnknown(StoreUnavailable):
    """The database has tables under the names of Treadle's that are not Treadle's."""

    def __init__(self, url: str, lacking: Iterable[str]) -> None:
        super().__init__(
            url,
            f"it has no revision, and its tables are not those that Treadle made before there were revisions: {'; '.join(lacking)}. "
            "Nothing was changed.",
            fix="Name a database, or a schema of one, that is Treadle's alone with TREADLE_STORE_URL, then `treadle doctor`.",
        )


class UpgradeFailed(StoreUnavailable):
    """A step to the newest schema failed, and was taken back with all that came before it."""

    def __init__(self, url: str, start: str, revision: str, reason: str) -> None:
        self.revision = revision
        super().__init__(
            url,
            f"the upgrade of its schema from revision {start} failed at {revision}: {reason.strip().rstrip('.')}. "
            "Everything in it is as it was.",
            fix="The Treadle from before the upgrade still works with it. Take the reason away, then try again: `treadle doctor`.",
        )


class ChainBroken(TreadleError):
    """The chain of events was edited, cut or written anew."""

    exit_code = 3

    def __init__(self, seq: int, reason: str) -> None:
        self.seq = seq
        super().__init__(
            f"The record of events cannot be trusted from number {seq} on: {reason}",
            fix="docs/architecture/state.md says what each break means; what is left to read: `treadle events`.",
        )


class HeadsInvalid(TreadleError):
    """The file of signed heads was edited, or belongs to another key."""

    exit_code = 3

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(
            f"Line {line} of {path} cannot be trusted: {reason}",
            fix=f"Put the file and its key back from a copy. Without one, move {path.name} away: the next command that changes something "
            "records the loss, and `treadle events --verify` says how to accept it.",
        )


class HeadsMissing(TreadleError):
    """There are events, but what proves them from outside the database is gone, or was never there."""

    exit_code = 3

    def __init__(self, folder: Path, count: int, gone: Iterable[str]) -> None:
        super().__init__(
            f"The {count} events follow from each other, but {folder} holds no {' and no '.join(gone)}: "
            "that they were not all written anew cannot be shown.",
            fix="Put the folder back from a copy. Without one, the next command that changes something signs anew and records the loss, "
            "and `treadle events --verify` says how to accept it.",
        )


class HeadsRestarted(TreadleError):
    """The signed heads were gone when somebody signed again: what lies before is proved by nothing."""

    exit_code = 3

    def __init__(self, seq: int, at: float) -> None:
        self.seq = seq
        super().__init__(
            f"The events are signed only from number {seq} on, since {when(at)}: no signed head was there any more. "
            f"No head that is still there vouches for the {seq - 1} before, which may have been written anew.",
            fix="Compare them with a copy of audit/heads.jsonl, if there is one. To go on without: "
            f'`treadle events --accept-restart {seq} --reason "..."`.',
        )


class RestartUnknown(TreadleError):
    """Somebody accepts a loss of the signed heads that nobody has to accept."""

    def __init__(self, number: int, waiting: int | None) -> None:
        rest = "none does" if waiting is None else f"that is event {waiting}"
        super().__init__(
            f"Event {number} tells of no loss of the signed heads that waits for somebody to accept it: {rest}.",
            fix="See what the check says: `treadle events --verify`.",
        )


class NotDeployed(TreadleError):
    """The model has no deployment yet."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"{model} is not deployed: no version of it was ever promoted.", fix=f"`treadle train {model}`, then `treadle promote {model}`."
        )


class GenerationConflict(TreadleError):
    """Somebody else changed the deployment first."""

    def __init__(self, model: str, expected: int, actual: int) -> None:
        self.actual = actual
        super().__init__(
            f"The deployment of {model} is at generation {actual}, not {expected}: it was changed meanwhile.",
            fix="Look at it again with `treadle status`, then decide anew.",
        )


class SlotsInvalid(TreadleError):
    """The roles and weights of a deployment do not add up."""

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"This deployment of {model} makes no sense: {reason}.")


class NothingToRollBack(TreadleError):
    """There is no older generation to go back to."""

    def __init__(self, model: str, to: int | None, known: Iterable[int]) -> None:
        wanted = "no older generation has another champion" if to is None else f"there is no older generation {to}"
        super().__init__(
            f"{model} cannot be rolled back: {wanted}; {choose_from(map(str, sorted(known)))}.",
            fix=f"`treadle status` shows which version has which role; `treadle promote {model}` gives another one the traffic.",
        )


class TurnAlreadyOpen(TreadleError):
    """A model has at most one open turn of the loop."""

    def __init__(self, model: str, turn: str, step: str) -> None:
        self.turn = turn
        super().__init__(
            f"A turn of {model} is open already: {turn}, at step {step}.",
            fix=f"`treadle why {model}` says what it waits for.",
        )


class TurnClosed(TreadleError):
    """A turn that has ended cannot go on."""

    def __init__(self, turn: str) -> None:
        super().__init__(f"The turn {turn} has ended, or there never was one.")


class LeaseLost(TreadleError):
    """Another process holds the lease now; what this one wanted to write must not be written."""

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(f"{holder} does not hold the lease {name!r} any longer: another process took it over.")
