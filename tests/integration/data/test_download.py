"""Downloads from a real server on a free port."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas import DataFrame

from treadle.data.sources import fetch, rows_digest
from treadle.errors import DataDigestMismatch, DataUnavailable, DataUnreadable
from treadle.projects import Project
from treadle.settings import Settings, Workspace
from treadle.spec import Contract

pytestmark = pytest.mark.integration

ROWS = DataFrame({"x": [1.5, 2.5, 3.5], "y": ["a", "b", "a"]})
CODE = "import pandas as pd\n\ndef load(path):\n    return pd.read_csv(path)[['x', 'y']]\n"
INTERFACE = {"task": "binary", "target": {"name": "y", "classes": ["a", "b"]}, "features": [{"name": "x", "type": "number"}]}


class Site:
    """What the server answers: a body by path, and the paths that were asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {"/rows.csv": ROWS.to_csv(index=False).encode(), "/login.csv": b"<html>Please log in</html>"}
        self.asked: list[str] = []
        self.released = threading.Event()
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        if request.path == "/moved.csv":
            request.send_response(302)
            request.send_header("Location", "/rows.csv")
            request.end_headers()
        elif request.path == "/silent.csv":
            self.released.wait(30)
        elif request.path == "/dripping.csv":
            self._drip(request)
        elif request.path in self.pages:
            request.send_response(200)
            request.end_headers()
            request.wfile.write(self.pages[request.path])
        else:
            request.send_error(404)

    def _drip(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not self.released.wait(0.02):
            try:
                request.wfile.write(b"x")
            except OSError:
                return


@pytest.fixture
def site() -> Iterator[Site]:
    """Yield a site that is served on a free port."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    yield site
    site.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


Get = Callable[..., DataFrame]


@pytest.fixture
def get(site: Site, tmp_path: Path) -> Get:
    """Return a function that fetches a path of the site."""
    (tmp_path / "model.py").write_text(CODE, encoding="utf-8")

    def fetched(path: str, *, offline: bool = False, rows_digest: str = "", timeout: float = 5.0) -> DataFrame:
        source: dict[str, Any] = {"kind": "download", "url": site.url + path, "rows_digest": rows_digest}
        contract = Contract.model_validate({"name": "letters", "data": [source], "interface": INTERFACE})
        workspace = Workspace(tmp_path, Settings(offline=offline))
        return fetch(Project(tmp_path, contract), workspace, seed=1, timeout=timeout).frame

    return fetched


def kept(tmp_path: Path) -> list[Path]:
    return list((tmp_path / ".treadle" / "downloads").iterdir())


def test_a_file_is_downloaded_once_and_then_kept(site: Site, get: Get, tmp_path: Path) -> None:
    pd.testing.assert_frame_equal(get("/rows.csv", rows_digest=rows_digest(ROWS)), ROWS)
    pd.testing.assert_frame_equal(get("/rows.csv", rows_digest=rows_digest(ROWS), offline=True), ROWS)
    assert site.asked == ["/rows.csv"]
    assert [path.name.rpartition("-")[2] for path in kept(tmp_path)] == ["rows.csv"]


def test_a_redirect_is_followed(site: Site, get: Get) -> None:
    assert len(get("/moved.csv")) == 3


def test_other_rows_are_refused_and_not_kept(site: Site, get: Get, tmp_path: Path) -> None:
    with pytest.raises(DataDigestMismatch, match=f"download {site.url}/rows.csv"):
        get("/rows.csv", rows_digest="0" * 64)
    assert kept(tmp_path) == []


def test_a_kept_file_that_was_changed_is_refused(site: Site, get: Get, tmp_path: Path) -> None:
    get("/rows.csv", rows_digest=rows_digest(ROWS))
    path = kept(tmp_path)[0]
    path.write_bytes(path.read_bytes().replace(b"1.5", b"1.6"))
    with pytest.raises(DataDigestMismatch):
        get("/rows.csv", rows_digest=rows_digest(ROWS))


def test_a_page_instead_of_a_file_is_refused_and_not_kept(site: Site, get: Get, tmp_path: Path) -> None:
    with pytest.raises(DataUnreadable, match="KeyError"):
        get("/login.csv")
    assert kept(tmp_path) == []


def test_what_is_not_there_is_a_miss(site: Site, get: Get, tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="404"):
        get("/nothing.csv")
    assert kept(tmp_path) == []


def test_a_silent_server_is_given_up(site: Site, get: Get, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(DataUnavailable, match="timed out"):
        get("/silent.csv", timeout=0.2)
    assert time.monotonic() - began < 5
    assert kept(tmp_path) == []


def test_a_server_that_never_ends_is_given_up(site: Site, get: Get, tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match=r"it was not complete after 1\.2 s"):
        get("/dripping.csv", timeout=0.2)
    assert kept(tmp_path) == []


def test_offline_asks_nobody(site: Site, get: Get) -> None:
    with pytest.raises(DataUnavailable, match="TREADLE_OFFLINE is set"):
        get("/rows.csv", offline=True)
    assert site.asked == []


def test_a_closed_port_is_a_miss(get: Get, site: Site, free_port: int) -> None:
    site.url = f"http://127.0.0.1:{free_port}"
    with pytest.raises(DataUnavailable, match="refused"):
        get("/rows.csv")
