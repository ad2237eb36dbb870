"""What a person may say about a version: what the routes of approve and reject ask before they log it.

A worker writes nothing into the store. It reads there which verdict somebody agrees to or refuses; while the store is away the word is
taken all the same, and the shipper finds the verdict that was the newest one at that time.
"""

from collections.abc import Callable
from contextlib import suppress

from starlette.requests import Request

from treadle.errors import NobodyNamed, NotAsked, NothingToConsent, StoreUnavailable, TreadleError
from treadle.identity import ANONYMOUS, Identity
from treadle.projects import find
from treadle.serving.guard import IDENTITY
from treadle.serving.ids import uuid7
from treadle.serving.records import ConsentRecord
from treadle.settings import Workspace
from treadle.state import verdicts
from treadle.state.consents import Decision
from treadle.state.store import Store
from treadle.state.verdicts import Verdict


class People:
    """The people of a workspace, as the guard names them and its policies know them."""

    def __init__(self, workspace: Workspace, connect: Callable[[], Store]) -> None:
        self._workspace = workspace
        self._connect = connect
        self._store: Store | None = None

    def identify(self, request: Request) -> Identity:
        """Return who sends a request, as the guard has found it.

        Raises:
            NobodyNamed: nobody has asked who that is.
        """
        who: Identity | None = request.scope.get(IDENTITY)
        if who is None or who is ANONYMOUS:
            settings = self._workspace.settings
            raise NobodyNamed(settings.identity_header, proxied=bool(settings.trusted_proxies))
        return who

    def word(self, who: Identity, decision: Decision, about: tuple[str, int], reason: str, *, now: float) -> ConsentRecord:
        """Return what this one says about a version (model, number), ready for the log.

        Raises:
            RoleMissing, NotAsked: this one has no say.
            NothingToConsent: the gate has not judged such a version.
        """
        model, version = about
        who.require("approve")
        self._require_asked(model, who)
        verdict: Verdict | None = None
        with suppress(StoreUnavailable):
            verdict = self._newest(model, version)
            if verdict is None:
                raise NothingToConsent(model, version, "the gate has not judged it.")
        return ConsentRecord(uuid7(now), model, version, decision, reason, who.name, who.source, now, verdict.id if verdict else None)

    def close(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            self._store.close()

    def _require_asked(self, model: str, who: Identity) -> None:
        """Refuse one whom the policy does not name, where this process can read it; what permits a role asks again in any case."""
        try:
            approval = find(self._workspace, model).contract.policy.approval
        except TreadleError:
            return
        if not approval.asks(who.name):
            raise NotAsked(model, who.name, approval.of)

    def _newest(self, model: str, version: int) -> Verdict | None:
        if self._store is None:
            self._store = self._connect()
        try:
            with self._store.read() as conn:
                return verdicts.latest(conn, model, version, "gate")
        except StoreUnavailable:
            self._store.close()  # what comes back may be another file under the same name, put there from a backup
            raise
