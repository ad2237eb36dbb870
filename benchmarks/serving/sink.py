"""A collector of traces on loopback that counts what it gets and keeps nothing; it runs in the process of the benchmark."""

import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BATCHES: list[int] = []
"""Bytes of each batch of spans that has come."""


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Take a batch of spans."""
        length = int(self.headers["content-length"])
        self.rfile.read(length)
        BATCHES.append(length)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@cache
def address() -> str:
    """Return where the sink takes traces; it is started by the first who asks, and ends with the process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1/traces"
