"""Traces by OpenTelemetry, sent by OTLP over HTTP."""

import secrets
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.aws.aws_xray_propagator import TRACE_HEADER_KEY, AwsXRayPropagator
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from darkroom_agent.traces import AttemptRecord, Traces

_NANOSECONDS = 1_000_000_000
_FAILED = frozenset({"failed", "released"})


def _ns(seconds: float) -> int:
    return int(seconds * _NANOSECONDS)


def _with_parent(header: str) -> str:
    """A header that the propagator reads: it takes none without a parent, which a sender need not have."""
    return header if "Parent=" in header else f"{header};Parent={secrets.token_hex(8)}"


class OtelTraces(Traces):
    """A span for each attempt, and one below it for each of its phases.

    They are made when the attempt is over, from the times that were measured: so nothing waits for them, and an
    attempt that dies with its process leaves no half trace.
    """

    def __init__(self, endpoint: str, runtime: str) -> None:
        resource = Resource.create({"service.name": "darkroom-agent", "darkroom.runtime": runtime})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces"))
        )
        self._tracer = self._provider.get_tracer("darkroom_agent")
        self._propagator = AwsXRayPropagator()

    def record(self, attempt: AttemptRecord) -> None:
        """See `Traces.record`."""
        task, end, error = attempt.task, attempt.end, attempt.error
        parent = (
            self._propagator.extract({TRACE_HEADER_KEY: _with_parent(attempt.header)}) if attempt.header else None
        )
        attributes: dict[str, str | int] = {
            "darkroom.task": str(task.key),
            "darkroom.attempt": task.attempt,
            "darkroom.type": str(task.type),
            "darkroom.end": end,
        }
        span = self._tracer.start_span(
            f"{task.runtime} {task.type}",
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            start_time=_ns(attempt.began),
        )
        if end in _FAILED and (error is not None or end == "failed"):
            span.set_status(Status(StatusCode.ERROR, error.type if error is not None else None))
        below = set_span_in_context(span)
        for phase in attempt.phases:
            part = self._tracer.start_span(phase.name, context=below, start_time=_ns(phase.began))
            part.end(_ns(phase.began + phase.seconds))
        span.end(_ns(time.time()))

    def close(self) -> None:
        """See `Traces.close`."""
        self._provider.shutdown()
