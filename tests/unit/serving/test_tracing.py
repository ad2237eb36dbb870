"""Requests in their traces, with spans that a real little OTLP/HTTP receiver gets."""

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry

from tests import small_bundles
from tests.small_service import Service
from treadle.errors import TracesExtraMissing
from treadle.identity import pseudonyms
from treadle.serving.app import create_app
from treadle.serving.tracing import OFF, Tracing, require_exporter, tracing_of
from treadle.settings import Settings

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = (f"00-{TRACE}-{SPAN}-0{flag}" for flag in (1, 0))


class Receiver:
    """Takes spans as a collector does."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                import gzip

                body = self.rfile.read(int(self.headers["content-length"]))
                body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
                told = ExportTraceServiceRequest.FromString(body)
                receiver.spans += [span for one in told.resource_spans for scope in one.scope_spans for span in scope.spans]
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/v1/traces"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def ask(service: Service, tracing: Tracing, method: str, path: str, **how: Any) -> httpx.Response:
    app = create_app(service.inference, CollectorRegistry(), clock=service.clock, tracing=tracing)

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://treadle") as client:
            return await client.request(method, path, **how)

    return asyncio.run(asked())


def facts(span: Any) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        kind = value.WhichOneof("value")
        return [plain(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)

    return {one.key: plain(one.value) for one in span.attributes}


@pytest.fixture
def live(service: Service) -> Service:
    service.follow(service.slot(small_bundles.answering(), 1))
    return service


def predict(service: Service, tracing: Tracing, **headers: str) -> httpx.Response:
    return ask(service, tracing, "POST", "/predict/churn", json=small_bundles.ROW, headers=headers)


def test_off_a_trace_passes_through_with_a_span_of_ours(live: Service) -> None:
    answer = predict(live, OFF, traceparent=SAMPLED, tracestate="congo=t61rcWkgMzE")

    version, trace_id, span_id, flags = answer.headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", TRACE, "01")
    assert span_id not in {SPAN, "0" * 16}
    assert answer.headers["tracestate"] == "congo=t61rcWkgMzE"


def test_off_a_request_without_a_trace_gets_none(live: Service) -> None:
    answer = predict(live, OFF, traceparent="nonsense")

    assert answer.status_code == 200
    assert "traceparent" not in answer.headers


def test_a_sampled_request_is_a_span_of_its_caller(live: Service, receiver: Receiver) -> None:
    tracing = tracing_of(Settings(traces=receiver.address, trace_share=0))
    answer = predict(live, tracing, traceparent=SAMPLED, tracestate="a=1", **{"x-request-id": "order-7"})
    tracing.close()

    (span,) = receiver.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, SPAN, "a=1")
    assert answer.headers["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert span.name == "POST /predict/{model}"
    assert facts(span) == {
        "treadle.model": "churn",
        "treadle.rows": 1,
        "treadle.versions": [1],
        "treadle.prediction_ids": [answer.json()["prediction_id"]],
        "treadle.request_id": "order-7",
        "http.response.status_code": 200,
    }


def test_the_flag_of_the_caller_wins_over_the_share(live: Service, receiver: Receiver) -> None:
    tracing = tracing_of(Settings(traces=receiver.address, trace_share=1))
    answer = predict(live, tracing, traceparent=UNSAMPLED)
    tracing.close()

    assert answer.headers["traceparent"].endswith("-00")
    assert receiver.spans == []


def test_the_share_of_the_others_begins_a_trace(live: Service, receiver: Receiver) -> None:
    tracing = tracing_of(Settings(traces=receiver.address, trace_share=0.5))
    draws = iter([0.4, 0.5, 0.9])
    tracing = Tracing(tracing._provider, 0.5, draw=draws.__next__)  # noqa: SLF001 -- the draws are ours
    answers = [predict(live, tracing) for _ in range(3)]
    tracing.close()

    (span,) = receiver.spans
    assert ["traceparent" in answer.headers for answer in answers] == [True, False, False]
    assert answers[0].headers["traceparent"] == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"
    assert not span.parent_span_id


def test_a_bad_parent_is_ignored_and_a_new_trace_begins(live: Service, receiver: Receiver) -> None:
    tracing = tracing_of(Settings(traces=receiver.address, trace_share=1))
    predict(live, tracing, traceparent=SAMPLED.upper(), tracestate="a=1")
    tracing.close()

    (span,) = receiver.spans
    assert span.trace_id.hex() != TRACE
    assert (span.parent_span_id, span.trace_state) == (b"", "")


def test_batches_labels_and_failures_are_spans_too(live: Service, receiver: Receiver) -> None:
    tracing = tracing_of(Settings(traces=receiver.address, trace_share=1))
    ask(live, tracing, "POST", "/predict/churn/batch", json={"rows": [small_bundles.ROW] * 3})
    ask(live, tracing, "POST", "/labels/churn", json={"labels": [{"request_id": "a", "value": "no"}]})
    ask(live, tracing, "POST", "/predict/nobody", json={}, headers={"x-request-id": "\x01"})
    live.follow(live.slot(small_bundles.failing(), 2))
    predict(live, tracing)
    tracing.close()

    told = [(span.name, facts(span)["http.response.status_code"], span.status.code) for span in receiver.spans]
    assert told[:3] == [
        ("POST /predict/{model}/batch", 200, 0),
        ("POST /labels/{model}", 202, 0),
        ("POST /predict/{model}", 422, 0),
    ]
    assert told[3] == ("POST /predict/{model}", 503, 2)
    assert facts(receiver.spans[0])["treadle.rows"] == 3


def test_other_routes_go_on_with_a_trace_and_begin_none(live: Service, receiver: Receiver) -> None:
    tracing = tracing_of(Settings(traces=receiver.address, trace_share=1))
    assert "traceparent" not in ask(live, tracing, "GET", "/health").headers
    answer = ask(live, tracing, "GET", "/models", headers={"traceparent": SAMPLED, "x-request-id": "a"})
    tracing.close()

    (span,) = receiver.spans
    assert answer.headers["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert answer.headers["x-request-id"] == "a"
    assert (span.name, facts(span)) == ("GET", {"url.path": "/models", "http.response.status_code": 200})


def test_a_span_names_nobody_where_the_log_does_not(service: Service, receiver: Receiver) -> None:
    interface = small_bundles.INTERFACE.model_copy(update={"pseudonymize": True})
    service.follow(service.slot(small_bundles.answering(), 1, interface=interface))
    tracing = tracing_of(Settings(traces=receiver.address, trace_share=1))
    predict(service, tracing, **{"x-request-id": "ada-1"})
    tracing.close()

    assert facts(receiver.spans[0])["treadle.request_id"] == pseudonyms(service.workspace, "churn").of("ada-1")


def test_a_collector_that_is_away_holds_nothing_up(live: Service, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.server.server_close()
    tracing = tracing_of(Settings(traces=receiver.address, trace_share=1))
    begun = time.perf_counter()
    answers = [predict(live, tracing) for _ in range(3)]
    answered = time.perf_counter() - begun
    tracing.close()

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answered < 1.5
    assert [record.message for record in caplog.records if record.name == "treadle.serving.tracing"] == [
        f"Traces do not reach {receiver.address}; spans are dropped until they do. Answers do not wait for them."
    ]


def test_off_nothing_of_opentelemetry_is_loaded() -> None:
    import subprocess

    parts = ("opentelemetry.sdk", "opentelemetry.exporter")
    code = f"import sys, treadle.serving.worker; print([name for name in sys.modules if name.startswith({parts})])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_without_the_exporter_the_service_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(traces="http://127.0.0.1:4318/v1/traces")
    require_exporter(settings)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(TracesExtraMissing, match=r"pip install 'treadle\[traces\]'"):
        tracing_of(settings)
    monkeypatch.setattr("treadle.serving.tracing.find_spec", lambda _name: None)
    with pytest.raises(TracesExtraMissing, match="is not installed"):
        require_exporter(settings)
    require_exporter(Settings())
