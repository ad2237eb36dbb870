"""A steady load that notes each answer: ``python -m benchmarks.serving.pace PORT OUT REQUEST...`` runs until its input ends.

wrk sends as fast as it can; here a number of clients each send a request at fixed times, and nothing waits for the slowest. It is one
thread that waits in ``select``, which wakes to the microsecond where an event loop would round to milliseconds.
"""

import argparse
import json
import re
import select
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_VERSION = re.compile(rb'"version": *(\d+)')


@dataclass
class Client:
    """One connection: when it sends next, since when it waits for an answer (0: it does not), when it had the last, and what has come."""

    connection: socket.socket
    due: float
    since: float = 0.0
    free: float = 0.0
    come: bytes = b""


@dataclass
class Pacer:
    """Sends requests at fixed times. ``seen`` holds for each answer when it was sent and when it was there, version and status.

    Times are seconds of the monotonic clock, which all processes of a machine share. An answer that is waited for while the next request is
    due delays that one, and the delay counts as part of its answer's time.
    """

    port: int
    requests: Sequence[bytes]
    rate: float
    clients: int
    seen: list[tuple[float, float, int, int]] = field(default_factory=list)
    _sent: int = -1

    def run(self, stop: int) -> None:
        """Send until there is something to read at the file descriptor ``stop``."""
        began, gap = time.monotonic() + 0.05, self.clients / self.rate
        clients = [
            Client(socket.create_connection(("127.0.0.1", self.port)), began + gap * number / self.clients)
            for number in range(self.clients)
        ]
        for client in clients:
            client.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._paced(clients, stop, gap)
        finally:
            for client in clients:
                client.connection.close()

    def _paced(self, clients: Sequence[Client], stop: int, gap: float) -> None:
        by_number = {client.connection.fileno(): client for client in clients}
        while True:
            waits = min((client.due for client in clients if not client.since), default=time.monotonic() + 1)
            readable, _, _ = select.select([stop, *by_number], [], [], max(0.0, waits - time.monotonic()))
            for number in readable:
                if number != stop:
                    self._read(by_number[number])
            if stop in readable:
                break
            for client in clients:
                self._send(client, gap)

    def _send(self, client: Client, gap: float) -> None:
        now = time.monotonic()
        if client.since or client.due > now:
            return
        # To be held up by the answer before is time of this one; to be woken a little late is not.
        client.since = client.due if client.free > client.due else now
        client.due += gap
        self._sent += 1
        with suppress(OSError):  # that it is gone is seen where the answer is read
            client.connection.sendall(self.requests[self._sent % len(self.requests)])

    def _read(self, client: Client) -> None:
        part = b""
        with suppress(OSError):
            part = client.connection.recv(65536)
        client.come += part
        head, found, body = client.come.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if part and not (found and length and len(body) >= int(length[1])):
            return
        status = int(head[9:12]) if found else 0
        version = _VERSION.search(body)
        client.free = time.monotonic()
        self.seen.append((client.since, client.free, int(version[1]) if version else 0, status))
        client.since, client.come = 0.0, b""
        if not part:
            raise SystemExit("The service has closed a connection.")


def main(argv: Sequence[str] | None = None) -> None:
    """Send until the input ends; then write what was seen as a matrix [answers, 4]: sent, there, version, status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.pace", description=__doc__)
    parser.add_argument("port", type=int, help="port on 127.0.0.1")
    parser.add_argument("out", type=Path, help="file of NumPy (.npy)")
    parser.add_argument("requests", type=Path, nargs="+", help="files with whole requests, sent in turn")
    parser.add_argument("--rate", type=float, required=True, help="requests per second")
    parser.add_argument("--clients", type=int, required=True, help="connections")
    given = parser.parse_args(argv)
    pacer = Pacer(given.port, [path.read_bytes() for path in given.requests], given.rate, given.clients)
    pacer.run(sys.stdin.fileno())
    np.save(given.out, np.array(pacer.seen, dtype=np.float64).reshape(-1, 4))
    print(json.dumps({"answers": len(pacer.seen)}))


if __name__ == "__main__":
    main()
