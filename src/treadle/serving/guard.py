"""Who may call: the door in front of every route. It decides by the head of a request alone, before anything of its body is read.

A key is looked for in ``Authorization: Bearer`` and in ``X-API-Key``, for reading also as the password of ``Authorization: Basic``, which
is what a browser can ask for. Then its limit is asked, then its roles. The file of keys is looked at every REFRESH_SECONDS and read again
when it has changed: a key that is revoked stops working within that time.
"""

import base64
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from prometheus_client import Counter
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from treadle.errors import KeysInvalid, LogUnavailable, NobodyNamed, RateExceeded, RoleMissing, TreadleError
from treadle.identity import ANONYMOUS, PREFIX, Identity, Keyring, Keys, from_proxy, named_by_proxy, unknown
from treadle.serving.access import AUDITED, READS, Needs, needs
from treadle.serving.buckets import Buckets
from treadle.serving.records import EventRecord, Record
from treadle.serving.status import body_of, headers_of, status_of
from treadle.settings import ROLES, Workspace, is_loopback

IDENTITY = "treadle.identity"
"""Where the scope of an admitted request says who sends it."""

REFRESH_SECONDS = 0.25
PATH_LENGTH = 200

BEARER, BASIC = b"bearer ", b"basic "

REASONS = ("nobody", "unknown", "role", "rate", "keys")
"""Why a request was refused, as the metric ml_refused names it."""

Log = Callable[[Sequence[Record]], Awaitable[None]]


def security_headers(*, tls: bool) -> list[tuple[str, str]]:
    """Return what every answer says to browsers and caches, for uvicorn, which writes it with the status line."""
    always = [("x-content-type-options", "nosniff"), ("cache-control", "no-store")]
    return [*always, ("strict-transport-security", "max-age=31536000")] if tls else always


class Refusal:
    """A request that is not let in, as the ASGI application that tells its caller; ``who`` is known where a good key was shown."""

    __slots__ = ("error", "reason", "who")

    def __init__(self, reason: str, error: TreadleError, who: Identity | None = None) -> None:
        self.reason = reason
        self.error = error
        self.who = who

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        answer = _told(self.error)
        if answer.status_code == 401 and scope["method"] in READS:
            # In a line of its own: browsers do not look behind the first scheme of a line.
            answer.raw_headers.append((b"www-authenticate", b'Basic realm="Treadle: the password is a key", charset="UTF-8"'))
        await answer(scope, receive, send)


class AtOnceApp(Protocol):
    """An ASGI application that can answer some requests without the event loop."""

    def at_once(self, scope: Scope, body: bytes) -> bytes | None:
        """Return a good answer to one row that was posted; None where the application must be called."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection."""


class Guard:
    """Wraps an application, and lets in whom the keys, the proxies and the settings of a workspace let in.

    ``refused`` returns the counter of a reason, ``log`` puts records into the spool, ``clock`` is the machine's monotonic one and
    ``wall`` the one in epoch seconds.
    """

    def __init__(
        self,
        app: AtOnceApp,
        workspace: Workspace,
        *,
        refused: Callable[[str], Counter],
        log: Log,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.app = app
        self._settings = workspace.settings
        self._header = workspace.settings.identity_header.lower().encode()
        self._local = is_loopback(workspace.settings.host)
        self._keys = Keys(workspace.home)
        self._buckets = Buckets(workspace.home / "serving" / "buckets")
        self._refused = {reason: refused(reason) for reason in REASONS}
        self._log = log
        self._clock = clock
        self._wall = wall
        self._ring = Keyring()
        self._trouble: KeysInvalid | None = None
        self._look_at = float("-inf")
        self._open = False

    def at_once(self, scope: Scope, body: bytes) -> bytes | None:
        """Return the answer to one row, if its sender is let in and it can be given at once; else this is to be called with the scope."""
        who = scope[IDENTITY] = self.admit(scope)
        return None if isinstance(who, Refusal) else self.app.at_once(scope, body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; one that was admitted already is not counted twice."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        who: Identity | Refusal = scope.get(IDENTITY) or self.admit(scope)
        app = who if isinstance(who, Refusal) else self.app
        actor = who.who if isinstance(who, Refusal) else who
        if actor is not None and needs(scope["method"], scope["path"]) in AUDITED:
            send = self._recorded(scope, receive, send, actor)
        if not isinstance(who, Refusal):
            scope[IDENTITY] = who
        await app(scope, receive, send)

    def admit(self, scope: Scope) -> Identity | Refusal:
        """Return who sends a request, or why it is refused. Counts it against the limit of its key, so ask once per request.

        Put the identity into ``scope[IDENTITY]`` before the request is handed on; a refusal is an ASGI application. Never raises.
        """
        asked = needs(scope["method"], scope["path"])
        if asked == "nothing":
            return ANONYMOUS
        now = self._clock()
        if now >= self._look_at:
            self._look(now)
        token = _token(scope)
        if token is None:
            return ANONYMOUS if self._open and asked in ANONYMOUS.roles else self._without_key(scope, asked)
        holder = self._ring.find(token, self._wall)
        if holder is None:
            self._look(now)  # a key that was just made works at once
            holder = self._ring.find(token, self._wall)
        if holder is None:
            return self._with_unknown(scope, asked, token)
        if holder.limit is not None:
            wait = self._buckets.take(holder.slot, holder.limit, now)
            if wait:
                return self._refuse(
                    "rate", RateExceeded(holder.identity.name, holder.limit.rate, holder.limit.burst, wait), holder.identity
                )
        who = holder.identity
        return who if asked in who.roles else self._with_role(who, asked)

    def _with_role(self, who: Identity, asked: Needs) -> Identity | Refusal:
        if asked in {"key", "nothing"} or asked in who.roles:
            return who
        return self._refuse("role", RoleMissing(who.name, [role for role in ROLES if role in who.roles], asked), who)

    def _with_unknown(self, scope: Scope, asked: Needs, token: bytes) -> Identity | Refusal:
        if self._trouble is not None:
            return self._refuse("keys", self._trouble)
        # What a proxy in front has signed somebody in with is none of ours.
        if self._behind_proxy(scope) and not token.startswith(PREFIX.encode()):
            return self._without_key(scope, asked)
        return self._refuse("unknown", unknown(token.decode("ascii", "replace")))

    def _without_key(self, scope: Scope, asked: Needs) -> Identity | Refusal:
        if self._trouble is not None:
            return self._refuse("keys", self._trouble)
        named = [value for name, value in scope["headers"] if name == self._header] if self._settings.trusted_proxies else []
        # A proxy replaces what its caller sends; with two names it has not.
        if len(named) == 1:
            who = named_by_proxy(named[0].decode("latin-1"), _address(scope), self._settings)
            if who is not None:
                return self._with_role(who, asked)
        if self._vouched(scope) and (asked == "key" or asked in ANONYMOUS.roles):
            return ANONYMOUS
        return self._refuse("nobody", NobodyNamed(self._settings.identity_header, proxied=bool(self._settings.trusted_proxies)))

    def _vouched(self, scope: Scope) -> bool:
        """Tell whether a request needs no key: a proxy has let it in, or nobody has ever made one and only this machine can call."""
        if self._settings.access == "proxy":
            return self._behind_proxy(scope)
        return self._local and not self._ring.made

    def _behind_proxy(self, scope: Scope) -> bool:
        """Tell whether a request comes from a proxy that may say who calls, or who may call."""
        settings = self._settings
        return (settings.access == "proxy" and not settings.trusted_proxies) or from_proxy(_address(scope), settings)

    def _look(self, now: float) -> None:
        """Look whether the keys have changed."""
        self._look_at = now + REFRESH_SECONDS
        try:
            self._ring, self._trouble = self._keys.ring(), None
        except KeysInvalid as error:
            self._ring, self._trouble = Keyring(made=True), error
        # As on most laptops: nobody needs a key, and no proxy names anybody.
        proxied = self._settings.access == "proxy" or bool(self._settings.trusted_proxies)
        self._open = self._trouble is None and not proxied and self._local and not self._ring.made
        self._buckets.reach(max((key.slot + 1 for key in self._ring.keys if key.slot is not None), default=0))

    def _refuse(self, reason: str, error: TreadleError, who: Identity | None = None) -> Refusal:
        self._refused[reason].inc()
        return Refusal(reason, error, who)

    def _recorded(self, scope: Scope, receive: Receive, send: Send, actor: Identity) -> Send:
        """Return a ``send`` that puts the call and its status on the record before the answer leaves: no record, no answer."""
        gone = False

        async def recorded(message: Message) -> None:
            nonlocal gone
            if gone:
                return
            if message["type"] == "http.response.start":
                told: dict[str, Any] = {"method": scope["method"], "path": scope["path"][:PATH_LENGTH]}
                told |= {"status": message["status"], "source": actor.source}
                try:
                    await self._log([EventRecord("api.called", None, told, self._wall(), actor.name)])
                except LogUnavailable as error:
                    gone = True
                    await _told(error)(scope, receive, send)
                    return
            await send(message)

        return recorded


def _told(error: TreadleError) -> Response:
    return JSONResponse(body_of(error), status_of(error), headers=headers_of(error))


def _address(scope: Scope) -> str | None:
    client = scope.get("client")
    return client[0] if client else None


def _token(scope: Scope) -> bytes | None:
    """Return the key that a request carries, if it does; a bearer wins."""
    found: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme = value[: len(BEARER)]
            if scheme == b"Bearer " or scheme.lower() == BEARER:
                token: bytes = value[len(BEARER) :].strip()
                if token:
                    return token
            elif found is None and value[: len(BASIC)].lower() == BASIC and scope["method"] in READS:
                found = _password(value[len(BASIC) :])
        elif name == b"x-api-key" and value:
            found = value
    return found


def _password(encoded: bytes) -> bytes | None:
    """Return the password of HTTP's basic scheme where it is a key; a browser sends it along with whatever another site asks of it.

    So it counts for reading alone.
    """
    try:
        password = base64.b64decode(encoded, validate=True).partition(b":")[2]
    except ValueError:
        return None
    return password if password.startswith(PREFIX.encode()) else None
