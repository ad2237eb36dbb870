"""The service of a workspace as a person asks it: rows that cannot be read, and whatever may answer at an address."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from treadle import service
from treadle.client import Client, Label
from treadle.errors import BatchUnfinished, NoService, RequestRefused, RowFileInvalid, ServiceUnreachable
from treadle.settings import Settings, Workspace


@pytest.mark.parametrize(
    ("content", "rows"),
    [('{"a": 1}', [{"a": 1}]), ('[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]), ('{"rows": [{"a": 1}]}', [{"a": 1}])],
)
def test_rows_come_in_three_shapes(tmp_path: Path, content: str, rows: list[dict[str, int]]) -> None:
    path = tmp_path / "rows.json"
    path.write_text(content)
    assert service.read_rows(path) == rows


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"a": 1}'))
    assert service.read_rows(Path("-")) == [{"a": 1}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is not JSON"),
        (b"a,b\n1,2", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b'{"a": NaN}', "JSON has no NaN"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "neither a row nor a list of rows"),
        (b"[1]", "neither a row nor a list of rows"),
        (b'{"rows": 1}', "neither a row nor a list of rows"),
        (b'"text"', "neither a row nor a list of rows"),
    ],
)
def test_a_bad_row_file_is_named_with_its_reason(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    with pytest.raises(RowFileInvalid, match=said) as caught:
        service.read_rows(path)
    assert str(path) in str(caught.value)


def test_a_row_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RowFileInvalid, match=r"nowhere.json cannot be used: No such file or directory\."):
        service.read_rows(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104 -- what a service binds to
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
        ("example.org", "http://example.org:8000"),
    ],
)
def test_the_address_is_that_of_the_settings(host: str, url: str) -> None:
    assert service.address(Workspace(Path(), Settings(host=host))) == url


def test_a_service_on_a_free_port_must_be_named() -> None:
    with pytest.raises(ServiceUnreachable, match=r"the setting port is 0.*\n.*--url"):
        service.address(Workspace(Path(), Settings(port=0)))


def ask(url: str, rows: list[dict[str, int]], places: list[str]) -> None:
    with Client(url, retries=0) as client:
        service.ask_rows(client, "iris", rows, places)


class Stranger(BaseHTTPRequestHandler):
    """Answers as the test says."""

    status = 200
    body = b""
    shown = ""

    def do_POST(self) -> None:
        type(self).shown = self.headers.get("authorization", "")
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.status)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[tuple[str, type[Stranger]]]:
    handler = type("Handler", (Stranger,), {})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'"text"', b"{}"])
@pytest.mark.parametrize("status", [200, 404, 500])
def test_somebody_else_at_the_address_is_called_so(stranger: tuple[str, type[Stranger]], status: int, body: bytes) -> None:
    url, handler = stranger
    handler.status, handler.body = status, body
    with pytest.raises(NoService, match=url):
        ask(url, [{}], ["row 1"])


def test_a_refusal_is_told_in_the_words_of_the_service(stranger: tuple[str, type[Stranger]]) -> None:
    url, handler = stranger
    handler.status = 422
    handler.body = (
        b'{"error": {"what": "The request has 1 problem.", "fix": "Look.", "problems": [{"field": "", "value": 1, "allowed": "x"}]}}'
    )
    with pytest.raises(RequestRefused) as caught:
        ask(url, [{}], ["row 1"])
    assert str(caught.value) == f"The service at {url} refuses this (422): The request has 1 problem.\n  - the row is 1; allowed: x\nLook."


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "localhost:8000", "http://[", "http://nowhere.invalid", "ftp://127.0.0.1"])
def test_an_address_where_nothing_answers_is_named(url: str) -> None:
    with pytest.raises(ServiceUnreachable) as caught:
        ask(url, [{}], ["row 1"])
    assert f"No service answers at {url}: " in str(caught.value)
    assert "treadle serve" in str(caught.value)


def test_a_refused_field_is_named_by_the_row_of_the_file(stranger: tuple[str, type[Stranger]]) -> None:
    url, handler = stranger
    handler.status = 422
    fields = ["rows.1.tenure", "rows.0", "rows.7.tenure", "rows"]
    problems = [{"field": field, "value": 1, "allowed": "x"} for field in fields]
    handler.body = json.dumps({"error": {"what": "No.", "fix": "", "problems": problems}}).encode()
    with pytest.raises(RequestRefused) as caught:
        ask(url, [{}, {}], ["line 2", "line 5"])
    assert [line.partition(" is 1")[0] for line in caught.value.problems] == ["line 5: tenure", "line 2", "rows.7.tenure", "rows"]


@pytest.mark.parametrize(("variable", "shown"), [("", ""), (" tk_mine\n", "Bearer tk_mine")])
def test_the_key_of_whoever_runs_the_command_is_shown(
    stranger: tuple[str, type[Stranger]], variable: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TREADLE_KEY", variable)
    url, handler = stranger
    handler.status, handler.body = 202, b'{"accepted": 1}'
    assert service.label(url, "iris", Label(entity="e", value="setosa")) == 1
    assert handler.shown == shown


def test_the_model_that_is_not_there_is_told_with_the_commands_that_make_it(stranger: tuple[str, type[Stranger]]) -> None:
    url, handler = stranger
    handler.status = 404
    handler.body = b'{"error": {"what": "There is no model.", "fix": "GET /models lists them.", "problems": []}}'
    with pytest.raises(RequestRefused) as caught:
        service.label(url, "iris", Label(entity="e", value="setosa"))
    assert caught.value.fix.startswith("`treadle train iris`, then `treadle promote iris`")


def test_a_refusal_far_down_is_named_by_its_row(stranger: tuple[str, type[Stranger]]) -> None:
    url, handler = stranger
    answer = {"prediction_id": "p", "model": "iris", "version": 1, "prediction": "setosa"}

    def post(self: Stranger) -> None:
        rows = json.loads(self.rfile.read(int(self.headers["content-length"])))["rows"]
        problem = {"field": "rows.3.tenure", "value": 1, "allowed": "x"}
        told: object = {"predictions": [answer] * 1000} if len(rows) == 1000 else {"error": {"what": "No.", "problems": [problem]}}
        body = json.dumps(told).encode()
        self.send_response(200 if len(rows) == 1000 else 422)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    handler.do_POST = post  # type: ignore[method-assign]
    with pytest.raises(RequestRefused) as caught:
        ask(url, [{}] * 1500, [f"line {number}" for number in range(2, 1502)])
    assert caught.value.problems == ("line 1005: tenure is 1; allowed: x",)


def test_a_long_batch_that_is_cut_off_is_told_as_it_is(stranger: tuple[str, type[Stranger]]) -> None:
    url, handler = stranger
    answer = {"prediction_id": "p", "model": "iris", "version": 1, "prediction": "setosa"}
    handler.body = json.dumps({"predictions": [answer] * 1000}).encode()
    with pytest.raises(BatchUnfinished, match="Only the first 1000 of 1500 are done"):
        ask(url, [{}] * 1500, [""] * 1500)
