"""Keys, limits and TLS of the real service: ``treadle serve`` with two workers, asked over real connections."""

import itertools
import os
import queue
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import certificates, small_bundles
from tests.crew import until
from tests.shell import failed, treadle
from treadle.identity import Keys
from treadle.settings import MARKER, Workspace
from treadle.state import consents, deployments, events, verdicts
from treadle.state.deployments import Slot
from treadle.state.store import Store, open_store
from treadle.state.verdicts import Verdict

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

LONG = 150.0
"""Seconds: what a start may take on a machine that is busy with other things."""

CHURN = "/predict/churn"

TRUST = ssl.create_default_context()
"""What a client trusts; made once, because that takes longer than a request."""

ANY = ssl.create_default_context()
ANY.check_hostname = False
ANY.verify_mode = ssl.CERT_NONE


class Serving:
    """``treadle serve`` in a process of its own, with a small model deployed."""

    def __init__(self, root: Path, settings: str = "", *, host: str = "127.0.0.1") -> None:
        (root / MARKER).write_text(f'host = "{host}"\nport = 0\nworkers = 2\npoll_seconds = 0.1\n{settings}')
        self.workspace = Workspace.find(root)
        self.keys = Keys(self.workspace.home)
        self.store: Store = open_store(self.workspace.store_url)
        self._deploy()
        self.lines: queue.Queue[str] = queue.Queue()
        self.clients: list[httpx.Client] = []
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "treadle.cli.main", "serve"],
            env={**os.environ, "TREADLE_WORKSPACE": str(root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        first = self.lines.get(timeout=LONG)
        found = re.fullmatch(r"serving on (https?)://(.+):(\d+)", first)
        assert found, [first, *self.lines.queue]
        self.url = f"{found[1]}://127.0.0.1:{found[3]}"

    def _deploy(self) -> None:
        digest = small_bundles.put(self.workspace.bundle_dir, small_bundles.answering()).digest
        with self.store.write() as conn:
            slots = [Slot("champion", 1, digest, 1.0)]
            deployments.insert(conn, "churn", expected=0, slots=slots, reason="a test", at=time.time())

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.lines.put(line.strip())

    def ready(self) -> "Serving":
        until(self._is_ready, seconds=LONG)
        return self

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready", verify=ANY, timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, method: str, path: str, token: str | None = None, payload: object = None, **how: Any) -> httpx.Response:
        """Send one request on a connection of its own, so that either worker may take it."""
        headers = {"X-API-Key": token} if token else {}
        return httpx.request(method, f"{self.url}{path}", headers=headers, json=payload, timeout=60, **{"verify": TRUST, **how})

    def predict(self, token: str | None = None) -> int:
        return self.ask("POST", CHURN, token, small_bundles.ROW).status_code

    def by_each_worker(self, token: str | None, wanted: int) -> bool:
        """Tell whether both workers answer a prediction with a status; wait until each has answered."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        seen: dict[int, int] = {}
        end = time.monotonic() + LONG
        for number in itertools.count():
            # A connection stays with its worker for as long as it is used; most of the time two that are there already will do.
            if number >= len(self.clients):
                self.clients.append(httpx.Client(base_url=self.url, timeout=60, verify=TRUST))
            client = self.clients[number]
            seen[client.get("/health").json()["worker"]] = client.post(CHURN, json=small_bundles.ROW, headers=headers).status_code
            if len(seen) == 2:
                return set(seen.values()) == {wanted}
            if number % 20 == 19:
                # The other one may be starting still, or the machine gives it no time.
                assert time.monotonic() < end, f"one worker answers all connections: {seen}"
                time.sleep(0.2)
        raise AssertionError

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.process.terminate()
        self.process.wait(30)
        self.reader.join(30)
        self.store.close()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    made = Serving(tmp_path)
    yield made.ready()
    made.close()


def test_the_door_closes_opens_by_role_and_closes_again(serving: Serving) -> None:
    assert serving.by_each_worker(None, 200)
    assert serving.predict("tk_made_up") == 401
    ada, eve = serving.keys.create("ada", ["predict", "admin"]), serving.keys.create("eve", ["label"])
    until(lambda: serving.by_each_worker(None, 401))
    assert serving.by_each_worker(ada, 200)
    assert serving.by_each_worker(eve, 403)
    labels = {"labels": [{"request_id": "r", "value": "left"}]}
    assert serving.ask("POST", "/labels/churn", eve, labels).status_code in {202, 422}
    assert [serving.ask("GET", path).status_code for path in ("/health", "/ready", "/metrics", "/models", "/docs")] == [
        200,
        200,
        401,
        401,
        401,
    ]
    assert serving.ask("GET", "/metrics", eve).status_code == 200

    began = time.monotonic()
    serving.keys.revoke("eve")
    until(lambda: serving.by_each_worker(eve, 401), every=0.001)
    assert time.monotonic() - began < 3, "a second, and what the asking takes on a busy machine"
    assert serving.by_each_worker(ada, 200)
    text = serving.ask("GET", "/metrics", ada).text
    refused = {reason: float(count) for reason, count in re.findall(r'ml_refused_total\{reason="(\w+)"\} (\S+)', text)}
    assert set(refused) == {"nobody", "unknown", "role", "rate", "keys"}
    assert min(refused["nobody"], refused["unknown"], refused["role"]) >= 2
    assert refused["rate"] == refused["keys"] == 0


def test_a_key_is_rotated_while_it_is_used(serving: Serving) -> None:
    old = serving.keys.create("ada", ["predict"])
    until(lambda: serving.by_each_worker(old, 200) and serving.by_each_worker(None, 401))
    done = treadle_in(serving, "keys", "rotate", "ada", "--overlap", "3")
    new = done.out.splitlines()[0]
    until(lambda: serving.by_each_worker(new, 200))
    assert serving.predict(old) == 200
    until(lambda: serving.by_each_worker(old, 401))
    assert serving.by_each_worker(new, 200)


def treadle_in(serving: Serving, *arguments: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TREADLE_WORKSPACE", str(serving.workspace.root))
        done = treadle(*arguments)
    assert done.code == 0, done
    return done


def test_both_workers_together_keep_to_the_limit_of_a_key(serving: Serving) -> None:
    token = serving.keys.create("ada", ["predict"], rate=20, burst=10)
    free = serving.keys.create("eve", ["predict"])
    until(lambda: serving.by_each_worker(free, 200))
    answers: list[httpx.Response] = []
    stop = threading.Event()

    def hammer() -> None:
        with httpx.Client(base_url=serving.url, headers={"Authorization": f"Bearer {token}"}, timeout=60, verify=TRUST) as client:
            while not stop.is_set():
                answers.append(client.post(CHURN, json=small_bundles.ROW))

    threads = [threading.Thread(target=hammer) for _ in range(6)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    time.sleep(3)
    stop.set()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    counts = Counter(answer.status_code for answer in answers)
    assert set(counts) == {200, 429}
    assert 10 + 20 * 3 * 0.5 <= counts[200] <= (10 + 20 * seconds) * 1.1
    refusal = next(answer for answer in answers if answer.status_code == 429)
    assert refusal.headers["retry-after"] == "1"
    assert "20 requests per second, 10 of them at once" in refusal.json()["error"]["what"]
    assert serving.predict(free) == 200


def test_a_refusal_comes_before_the_body(serving: Serving) -> None:
    serving.keys.create("ada", ["predict"])
    until(lambda: serving.by_each_worker(None, 401))
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(400):
            sent += 1
            yield b"x" * 100_000

    try:
        answer = httpx.post(f"{serving.url}{CHURN}", content=body(), timeout=60)
    except httpx.TransportError:
        pytest.fail("the refusal was lost")
    assert answer.status_code == 401
    assert serving.predict() == 401, "the worker goes on"


def test_who_approves_is_on_the_record_with_the_answer(serving: Serving) -> None:
    token = serving.keys.create("ada", ["approve"])
    weak = serving.keys.create("eve", ["predict"])
    with serving.store.write() as conn:
        verdicts.record(
            conn, Verdict("v1", "churn", 2, "d" * 64, "gate", passed=True, reasons=(), policy_digest="p", evidence={}, at=time.time() - 9)
        )
    path = "/models/churn/versions/2/approve"
    until(lambda: serving.by_each_worker(None, 401))
    assert serving.ask("POST", path, token, {"reason": "Fine."}).status_code == 202
    assert serving.ask("POST", path, weak, {"reason": "Fine."}).status_code == 403

    def called() -> list[tuple[str, int, str]]:
        with serving.store.read() as conn:
            return [(one.actor, one.data["status"], one.data["path"]) for one in events.newest(conn, None, kind="api.called")]

    until(lambda: len(called()) == 2)
    assert sorted(called()) == [("ada", 202, path), ("eve", 403, path)]
    with serving.store.read() as conn:
        assert [(one.actor, one.source) for one in consents.on(conn, "v1")] == [("ada", "key")]
    assert "(eve)" in treadle_in(serving, "events", "--kind", "api").out


def test_every_answer_has_the_headers_and_the_pages_of_the_api_still_work(serving: Serving) -> None:
    for path in ("/health", "/docs", "/redoc", "/openapi.json", "/nowhere", "/predict/churn"):
        answer = serving.ask("GET", path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        if path != "/predict/churn":
            assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
            assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in answer.headers
    for page in ("/docs", "/redoc"):
        text = serving.ask("GET", page).text
        needed = re.findall(r'(?:src|href)="([^"]+)"', text)
        assert needed
        assert all(serving.ask("GET", one).status_code == 200 for one in needed if one.startswith("/"))
        assert not [one for one in needed if "://" in one and not one.startswith(serving.url)]


def test_a_browser_is_asked_for_a_key_as_a_password(serving: Serving) -> None:
    token = serving.keys.create("ada", ["predict"])
    until(lambda: serving.by_each_worker(None, 401))
    asked = serving.ask("GET", "/docs")
    assert any(one.startswith("Basic realm=") for one in asked.headers.get_list("www-authenticate"))
    for path in ("/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css"):
        assert serving.ask("GET", path, auth=("ada", token)).status_code == 200
    assert serving.ask("POST", CHURN, None, small_bundles.ROW, auth=("ada", token)).status_code == 401


class TestTls:
    @pytest.fixture
    def secure(self, tmp_path: Path) -> Iterator[Serving]:
        certificates.make(tmp_path)
        made = Serving(tmp_path, 'tls_cert = "cert.pem"\ntls_key = "key.pem"\n')
        yield made.ready()
        made.close()

    def test_both_workers_speak_it_and_nothing_else(self, secure: Serving, tmp_path: Path) -> None:
        assert secure.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        workers = set()
        for _ in range(200):
            answer = secure.ask("GET", "/health", verify=trusting)
            workers.add(answer.json()["worker"])
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            if len(workers) == 2:
                break
        assert len(workers) == 2
        answer = secure.ask("POST", CHURN, None, small_bundles.ROW, verify=trusting)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        with pytest.raises(httpx.ConnectError, match="self-signed"):
            secure.ask("GET", "/health")
        with pytest.raises(httpx.TransportError):
            httpx.get(secure.url.replace("https:", "http:") + "/health", timeout=10)

    @pytest.mark.parametrize(
        ("version", "spoken"), [(ssl.TLSVersion.TLSv1_1, None), (ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]
    )
    def test_at_least_version_1_2(self, secure: Serving, tmp_path: Path, version: ssl.TLSVersion, spoken: str | None) -> None:
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        # So that this side would speak the old ones.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1") if spoken is None else pytest.MonkeyPatch.context():
            context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", int(secure.url.rsplit(":", 1)[1])), timeout=10) as plain:
            if spoken is None:
                with pytest.raises(ssl.SSLError, match=r"(?i)protocol"):
                    context.wrap_socket(plain, server_hostname="localhost")
                return
            with context.wrap_socket(plain, server_hostname="localhost") as talking:
                assert talking.version() == spoken


class TestBeyondThisMachine:
    def serve(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        (root / MARKER).write_text('host = "0.0.0.0"\nport = 0\n')
        monkeypatch.setenv("TREADLE_WORKSPACE", str(root))
        return treadle("serve")

    def test_nobody_serves_without_a_key(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        said = failed(self.serve(tmp_path, monkeypatch), "Nobody has a key", "0.0.0.0", "treadle keys create NAME")  # noqa: S104
        assert 'access = "proxy"' in said
        failed(treadle("up"), "Nobody has a key")

    def test_with_one_all_must_show_it(self, tmp_path: Path) -> None:
        token = Keys(tmp_path / ".treadle").create("ada", ["predict"])
        serving = Serving(tmp_path, host="0.0.0.0").ready()  # noqa: S104
        try:
            assert (serving.predict(), serving.predict(token)) == (401, 200)
            (serving.workspace.home / "keys.json").unlink()
            until(lambda: serving.by_each_worker(token, 401))
            assert serving.predict() == 401, "what was closed does not open when the file is lost"
        finally:
            serving.close()

    def test_behind_a_proxy_that_decides_nobody_must(self, tmp_path: Path) -> None:
        serving = Serving(tmp_path, 'access = "proxy"\n', host="0.0.0.0").ready()  # noqa: S104
        try:
            assert (serving.predict(), serving.predict("tk_wrong")) == (200, 401)
        finally:
            serving.close()
