"""Traces of requests: a caller's trace goes on, some others begin, and a span of each that is sampled is exported in the background.

Nothing of OpenTelemetry is loaded while the setting ``traces`` is empty, and nothing of it is called for a request that is not sampled.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING

from treadle import __version__
from treadle.errors import TracesExtraMissing
from treadle.serving.trace_context import TRACEPARENT, TRACESTATE, Parent, parent, written
from treadle.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Span, Status, Tracer

Fact = str | int | Sequence[str] | Sequence[int]
Headers = Sequence[tuple[bytes, bytes]]

EXPORT_SECONDS = 2.0
"""How long the collector may take for a batch of spans. Only the exporter's thread waits."""

NAMES = {"_predict": "POST /predict/{model}", "_batch": "POST /predict/{model}/batch", "_labels": "POST /labels/{model}"}
"""Names of the spans of the hot path, by the work that it does."""

logger = logging.getLogger(__name__)


class Trace:
    """One request in its trace: ``headers`` belong into its answer, ``recorded`` says whether a span is kept."""

    __slots__ = ("_span", "headers", "recorded")

    def __init__(self, headers: list[tuple[bytes, bytes]], span: "Span | None" = None) -> None:
        self.headers = headers
        self.recorded = span is not None
        self._span = span

    def end(self, name: str, status: HTTPStatus | None, facts: Mapping[str, Fact]) -> None:
        """End the span, if there is one, with what is known of the answer; without ``status`` the caller did not wait for it."""
        if self._span is None:
            return
        self._span.update_name(NAMES.get(name, name))
        self._span.set_attributes(dict(facts))
        if status is not None:
            self._span.set_attribute("http.response.status_code", status.value)
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                self._span.set_status(_error())
        self._span.end()


class Tracing:
    """Decides about each request; ``on`` says whether one without any header may begin a trace.

    Args:
        provider: makes and exports spans; None: none is kept, and a trace only passes through.
        share: how many requests without a parent begin a trace, 0 to 1.
        draw: gives numbers from [0, 1).
    """

    def __init__(self, provider: "TracerProvider | None" = None, share: float = 0.0, *, draw: Callable[[], float] = random.random) -> None:
        self.on = provider is not None and share > 0
        self._provider = provider
        self._tracer: Tracer | None = provider.get_tracer("treadle", __version__) if provider is not None else None
        self._share = share
        self._draw = draw

    def drawn(self) -> bool:
        """Decide whether a request without a parent begins a trace."""
        return self.on and self._draw() < self._share

    def begin(self, headers: Headers, *, drawn: bool | None = None) -> Trace | None:
        """Return the trace of a request, its caller's or a new one; None where there is nothing to tell of it.

        ``drawn`` is what was decided about the request already.
        """
        caller = parent(headers) if headers else None
        if caller is not None:
            return self._follow(caller)
        begins = self.drawn() if drawn is None else drawn
        return _recorded(self._tracer, None) if begins and self._tracer is not None else None

    def joined(self, headers: Headers) -> Trace | None:
        """Return the trace of a caller that has one, as ``begin`` does; none begins here."""
        caller = parent(headers)
        return self._follow(caller) if caller is not None else None

    def close(self) -> None:
        """Export what is left, as far as the collector takes it."""
        if self._provider is not None:
            self._provider.shutdown()

    def _follow(self, caller: Parent) -> Trace:
        if self._tracer is not None and caller.sampled:
            return _recorded(self._tracer, caller)
        span_id = f"{random.getrandbits(64) or 1:016x}"
        return Trace(_headers(written(caller.trace_id, span_id, sampled=caller.sampled), caller.state))


OFF = Tracing()
"""Takes a caller's trace on, and keeps nothing."""


def tracing_of(settings: Settings) -> Tracing:
    """Return the tracing that the settings ask for.

    Raises:
        TracesExtraMissing: what exports them is not installed.
    """
    return Tracing(_provider(settings.traces), settings.trace_share) if settings.traces else OFF


def require_exporter(settings: Settings) -> None:
    """Refuse to start where traces are asked for and cannot be sent.

    Raises:
        TracesExtraMissing: what exports them is not installed.
    """
    if settings.traces and not _installed():
        raise TracesExtraMissing(settings.traces, "opentelemetry-exporter-otlp-proto-http is not installed")


def _installed() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # not even a package above it
        return False


def _recorded(tracer: "Tracer", caller: Parent | None) -> Trace:
    from opentelemetry.context import Context  # noqa: PLC0415 -- only with traces
    from opentelemetry.trace import (  # noqa: PLC0415 -- as above
        NonRecordingSpan,
        SpanContext,
        SpanKind,
        TraceFlags,
        TraceState,
        format_span_id,
        format_trace_id,
        set_span_in_context,
    )

    context = Context()
    if caller is not None:
        state, flags = TraceState.from_header([caller.state]), TraceFlags(TraceFlags.SAMPLED)
        there = SpanContext(int(caller.trace_id, 16), int(caller.span_id, 16), is_remote=True, trace_flags=flags, trace_state=state)
        context = set_span_in_context(NonRecordingSpan(there), context)
    span = tracer.start_span("request", context=context, kind=SpanKind.SERVER, start_time=time.time_ns())
    own = span.get_span_context()
    given = written(format_trace_id(own.trace_id), format_span_id(own.span_id), sampled=True)
    return Trace(_headers(given, caller.state if caller else ""), span)


def _headers(given: bytes, state: str) -> list[tuple[bytes, bytes]]:
    return [(TRACEPARENT, given), *([(TRACESTATE, state.encode())] if state else [])]


def _error() -> "Status":
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 -- only with traces

    return Status(StatusCode.ERROR)


def _provider(address: str) -> "TracerProvider":
    """Return what exports spans to ``address`` in a thread of its own; when that is away they are dropped, and answers do not wait."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 -- an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 -- as above
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 -- as above
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 -- as above
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415 -- as above
    except ImportError as error:
        raise TracesExtraMissing(address, str(error)) from error
    # Each batch that fails would be told with a traceback; ``_Telling`` says it once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    resource = Resource.create({"service.name": "treadle", "service.version": __version__})
    provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
    exporter = _Telling(OTLPSpanExporter(endpoint=address, timeout=EXPORT_SECONDS), address)
    provider.add_span_processor(BatchSpanProcessor(exporter))  # type: ignore[arg-type]
    return provider


class _Telling:
    """An exporter that says once that its collector is away, and once that it is back."""

    def __init__(self, exporter: "SpanExporter", address: str) -> None:
        self._exporter = exporter
        self._address = address
        self._away = False

    def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
        """Bring spans to the collector."""
        result = self._exporter.export(spans)
        away = result.name != "SUCCESS"
        if away and not self._away:
            logger.warning("Traces do not reach %s; spans are dropped until they do. Answers do not wait for them.", self._address)
        elif self._away and not away:
            logger.warning("Traces reach %s again.", self._address)
        self._away = away
        return result

    def shutdown(self) -> None:
        """Let go of the connection."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return whether nothing is held here; spans are never."""
        return self._exporter.force_flush(timeout_millis)
