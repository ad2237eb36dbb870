"""Whatever way a request takes through the protocol, in whatever pieces it comes: the answer is the one that uvicorn alone would give."""

import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import h11
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests import small_bundles
from tests.crew import until
from tests.small_bundles import ROW
from tests.small_service import Service
from treadle.identity import Keys
from treadle.serving.guard import security_headers
from treadle.serving.protocol import QuickProtocol

pytestmark = pytest.mark.integration

BODY = json.dumps(ROW).encode()
PATIENCE = 10.0
IDS = re.compile(rb'"prediction_id":"[0-9a-f-]{36}"')


def post(path: str = "/predict/churn", body: bytes = BODY, *, version: str = "1.1", **headers: str) -> bytes:
    sent = {"host": "here", "content_type": "application/json", "content_length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in sent.items() if value)
    return f"POST {path} HTTP/{version}\r\n{lines}\r\n".encode() + body


GOOD = post()
CHUNKED = post(body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY), content_length="", transfer_encoding="chunked")
REQUESTS = {
    "good": GOOD,
    "with an id": post(x_request_id="r-1"),
    "with a version": post(x_treadle_version="1"),
    "by query": post("/predict/churn?a=1"),
    "escaped": post("/predict/chur%6e"),
    "absolute": post("http://here/predict/churn"),
    "batch": post("/predict/churn/batch", json.dumps({"rows": [ROW, ROW]}).encode()),
    "unknown model": post("/predict/nobody"),
    "no model": post("/predict/"),
    "no JSON": post(body=b"{"),
    "no row": post(body=b'{"tenure": -1}'),
    "no body": post(body=b""),
    "compressed": post(content_encoding="gzip"),
    "chunked": CHUNKED,
    "read": b"GET /predict/churn HTTP/1.1\r\nhost: here\r\n\r\n",
    "health": b"GET /openapi.json HTTP/1.1\r\nhost: here\r\n\r\n",
}
LAST = {
    "close": post(connection="close"),
    "old": post(version="1.0"),
}
"""After these the connection ends."""
BROKEN = {
    "upgrade": b"GET /predict/churn HTTP/1.1\r\nhost: here\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    "not ASCII": post("/predict/chürn"),
    "no HTTP": b"POST /predict/churn\r\n\r\n",
    "broken chunk": CHUNKED.replace(b"\r\n0\r\n\r\n", b"zz\r\n0\r\n\r\n"),
}
"""After these too. What uvicorn says of them overtakes the answers that it still owes, or is lost with them, as the pieces fall."""

Answer = tuple[int, dict[bytes, bytes], bytes]


class Server:
    """A real server around a service, in a thread."""

    def __init__(self, service: Service, protocol: type[HttpToolsProtocol], *, idle: int = 5) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        told = security_headers(tls=False)
        config = uvicorn.Config(
            service.app,
            http=protocol,
            log_level="critical",
            server_header=False,
            proxy_headers=False,
            headers=told,
            timeout_keep_alive=idle,
            lifespan="off",
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],))
        self.thread.start()
        until(lambda: self.server.started)

    def ask(self, pieces: Sequence[bytes], count: int) -> list[Answer]:
        """Send pieces, each on its own, and return the answers, ``count`` of them or those until the server ends the connection."""
        with socket.create_connection(self.address, timeout=PATIENCE) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number, piece in enumerate(pieces):
                time.sleep(0.002 if number else 0)
                connection.sendall(piece)
            return list(_answers(connection, count))

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(PATIENCE)
        self.listener.close()


def _answers(connection: socket.socket, count: int) -> Iterator[Answer]:
    """Read answers one after the other; to the parser each is the answer to a request of its own."""
    rest = b""
    for _ in range(count):
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method="GET", target="/", headers=[("host", "here")]))
        client.send(h11.EndOfMessage())
        client.receive_data(rest) if rest else None
        status, headers, body = 0, {}, b""
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                try:
                    more = connection.recv(65536)
                except ConnectionResetError:
                    return
                if not more and not status:
                    return
                client.receive_data(more)
            elif isinstance(event, h11.Response):
                status, headers = event.status_code, dict(event.headers)
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                break
        headers.pop(b"date", None)
        yield status, headers, IDS.sub(b"", body)
        rest = client.trailing_data[0]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Yield a server with our protocol, and one with uvicorn's, around the same service."""
    service = Service(tmp_path_factory.mktemp("protocol"))
    service.follow(service.slot(small_bundles.answering(), 1))
    servers = Server(service, QuickProtocol), Server(service, HttpToolsProtocol)
    yield servers
    for server in servers:
        server.close()
    service.close()


def alike(pair: tuple[Server, Server], pieces: Sequence[bytes], count: int) -> list[Answer]:
    ours, theirs = (server.ask(pieces, count) for server in pair)
    assert ours == theirs
    return ours


@pytest.mark.parametrize("name", [*REQUESTS, *LAST, *BROKEN])
def test_each_request_is_answered_as_by_uvicorn(pair: tuple[Server, Server], name: str) -> None:
    alike(pair, [(REQUESTS | LAST | BROKEN)[name]], 1)


def test_a_good_one_does_not_go_uvicorns_way(pair: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuickProtocol, "_hand_on", None)
    (answer,) = pair[0].ask([GOOD], 1)
    assert answer[0] == 200
    assert answer[1][b"cache-control"] == b"no-store"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(st.sampled_from(sorted(REQUESTS)), min_size=1, max_size=6),
    last=st.sampled_from([None, *sorted(LAST)]),
    cuts=st.lists(st.floats(0, 1, exclude_max=True), max_size=4),
)
def test_many_on_one_connection_in_any_pieces(pair: tuple[Server, Server], names: list[str], last: str | None, cuts: list[float]) -> None:
    sent = b"".join(REQUESTS[name] for name in names) + (LAST[last] if last else b"")
    places = sorted({int(cut * len(sent)) for cut in cuts} | {0, len(sent)})
    pieces = [sent[start:stop] for start, stop in itertools.pairwise(places) if start < stop]
    alike(pair, pieces, len(names) + (last is not None))


def test_what_expects_a_hundred_gets_it(pair: tuple[Server, Server]) -> None:
    head = post(expect="100-continue")[: -len(BODY)]
    for server in pair:
        with socket.create_connection(server.address, timeout=PATIENCE) as connection:
            connection.sendall(head)
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
            connection.sendall(BODY)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_an_idle_connection_is_ended(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.follow(service.slot(small_bundles.answering(), 1))
    server = Server(service, QuickProtocol, idle=1)
    try:
        with socket.create_connection(server.address, timeout=PATIENCE) as connection:
            for _ in range(2):
                connection.sendall(GOOD)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            assert connection.recv(65536) == b""
    finally:
        server.close()
        service.close()


def test_a_key_is_asked_for_once_and_its_limit_counts_each_request_once(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.follow(service.slot(small_bundles.answering(), 1))
    key = Keys(tmp_path).create("shop", ["predict"], rate=0.01, burst=4)
    server = Server(service, QuickProtocol)
    try:
        mine = f"Bearer {key}"
        good, bad = post(authorization=mine), post(body=b"{", authorization=mine)  # the bad one goes both ways
        answers = [server.ask([request], 1)[0][0] for request in (GOOD, good, bad, bad, good, good)]
        assert answers == [401, 200, 422, 422, 200, 429]
    finally:
        server.close()
        service.close()
