"""HTTP/1.1 for one row, without the task and the messages around it that cost as much as the prediction.

It is uvicorn's protocol, and does itself only what it can do at once: a prediction whose whole request has come in one piece, over a
connection that owes no other answer. Everything else, and whatever it cannot answer, goes uvicorn's own way, as if nobody had looked at it.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

PREDICT = b"/predict/"


class QuickProtocol(HttpToolsProtocol):
    """One connection. ``app`` is the ``Guard``, which can answer some requests without the event loop."""

    app: Any
    _written: list[tuple[bytes, bytes]] | None = None
    _head = b""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held: bytes | None = None  # the body so far of a request that is not handed on yet
        self._may_hold = False

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        # One for each piece: a caller who sends a thousand requests at once must not hold up all others.
        self._may_hold = True
        super().data_received(data)
        if self._held is not None and not self.transport.is_closing():
            self._hand_on()

    def on_headers_complete(self) -> None:
        """Hold a prediction back until its body is here."""
        url = self.url
        if (
            self._may_hold
            and url.startswith(PREDICT)
            and (self.cycle is None or self.cycle.response_complete)  # type: ignore[redundant-expr] # it is None at first
            and not self.pipeline
            and self.parser.get_method() == b"POST"
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
        ):
            self._may_hold = False
            self._held = b""
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held += body

    def on_message_complete(self) -> None:
        """Answer what is held back, or hand it on."""
        if self._held is None:
            super().on_message_complete()
        elif not self._answer(self._held):
            self._hand_on()
            super().on_message_complete()

    def _hand_on(self) -> None:
        """Let a request that was held back go uvicorn's way."""
        body, self._held = self._held, None
        super().on_headers_complete()
        if body:
            super().on_body(body)

    def _answer(self, body: bytes) -> bool:
        if self.flow.write_paused or self.parser.get_http_version() != "1.1" or not self.parser.should_keep_alive():
            return False
        self.scope["method"], self.scope["path"] = "POST", self.url.decode("latin-1")
        told = self.app.at_once(self.scope, body)
        if told is None:
            return False
        self._held = None
        self.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (self._head_now(), len(told), told))
        self.server_state.total_requests += 1
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        return True

    def _head_now(self) -> bytes:
        """Return status line and headers, which uvicorn makes anew every second."""
        headers = self.server_state.default_headers
        kind = type(self)
        if kind._written is not headers:  # noqa: SLF001 - our own
            lines = b"".join(b"%b: %b\r\n" % header for header in headers)
            kind._head, kind._written = b"HTTP/1.1 200 OK\r\n" + lines + b"content-type: application/json\r\n", headers  # noqa: SLF001
        return kind._head  # noqa: SLF001
