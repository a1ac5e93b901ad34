"""Traces, as a collector receives them (OTLP over HTTP)."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from darkroom.tasks import Task, TaskError
from darkroom_agent.traces import NO_TRACES, AttemptRecord, Phase, load_traces

HEADER = "Root=1-6976a4b0-0123456789abcdef01234567;Parent=53995c3f42cd8ad8;Sampled=1"


class Collector(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    received: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        self.received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[str]:
    Collector.received = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        Thread(target=server.serve_forever, name="collector", daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def spans() -> dict[str, Any]:
    """What the collector was sent, by name."""
    found: dict[str, Any] = {}
    for path, body in Collector.received:
        assert path == "/v1/traces"
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                found |= {span.name: span for span in scope.spans}
    return found


def record(url: str, task: Task, header: str | None = HEADER, **how: Any) -> dict[str, Any]:
    """What a collector receives of an attempt with two phases."""
    traces = load_traces(url, "sdruntime")
    began = time.time() - 10
    phases = (Phase("download", began, 2), Phase("run", began + 2, 5))
    traces.record(AttemptRecord(task, header, began, phases, **({"end": "succeeded"} | how)))
    traces.close()
    return spans()


def test_an_attempt_continues_the_trace_of_its_message(collector: str, make_task: Callable[..., Task]) -> None:
    found = record(collector, make_task())
    whole = found["sdruntime text-to-image"]
    assert "6976a4b00123456789abcdef01234567" == whole.trace_id.hex()
    assert "53995c3f42cd8ad8" == whole.parent_span_id.hex()
    for name, seconds in (("download", 2), ("run", 5)):
        part = found[name]
        assert (whole.span_id, whole.trace_id) == (part.parent_span_id, part.trace_id)
        assert pytest.approx(seconds) == (part.end_time_unix_nano - part.start_time_unix_nano) / 1e9
    attributes = {a.key: a.value.string_value or a.value.int_value for a in whole.attributes}
    assert ("key1/test-t2i", "succeeded") == (attributes["darkroom.task"], attributes["darkroom.end"])


def test_a_message_without_a_trace_begins_one(collector: str, make_task: Callable[..., Task]) -> None:
    found = record(collector, make_task(), header=None)
    assert b"" == found["sdruntime text-to-image"].parent_span_id


def test_a_trace_without_a_parent_is_continued_all_the_same(collector: str, make_task: Callable[..., Task]) -> None:
    found = record(collector, make_task(), header="Root=1-6976a4b0-0123456789abcdef01234567;Sampled=1")
    assert "6976a4b00123456789abcdef01234567" == found["sdruntime text-to-image"].trace_id.hex()


@pytest.mark.parametrize(
    "header", [HEADER.replace("Sampled=1", "Sampled=0"), "Root=1-6976a4b0-0123456789abcdef01234567;Sampled=0"]
)
def test_what_is_not_sampled_is_not_recorded(collector: str, make_task: Callable[..., Task], header: str) -> None:
    assert {} == record(collector, make_task(), header=header)


def test_an_attempt_that_failed_is_an_error(collector: str, make_task: Callable[..., Task]) -> None:
    error = TaskError(type="timeout", message="too long")
    status = record(collector, make_task(), end="failed", error=error)["sdruntime text-to-image"].status
    assert (2, "timeout") == (status.code, status.message)


def test_without_an_endpoint_nothing_of_opentelemetry_is_loaded() -> None:
    assert NO_TRACES is load_traces(None, "sdruntime")
    heavy = "[m for m in sys.modules if m.startswith(('opentelemetry', 'PIL'))]"
    look = f"import sys, darkroom_agent.agents; print({heavy})"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, check=True, text=True)  # noqa: S603  ours
    assert "[]" == found.stdout.strip()
