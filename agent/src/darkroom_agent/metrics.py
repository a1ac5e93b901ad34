"""What `/metrics` tells, in Prometheus' form. There is one agent in a process, so these are the process's."""

import time
from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series a counter, for when it was made: nobody asks
REGISTRY = CollectorRegistry()

TASKS = Counter(
    "darkroom_tasks",
    "Attempts by how they ended here: succeeded, failed, released (to be tried again), or why they were lost",
    ["end"],
    registry=REGISTRY,
)
PHASES = Histogram(
    "darkroom_phase_seconds",
    "How long the phases of attempts took",
    ["phase"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3600),
    registry=REGISTRY,
)
PREFETCHES = Counter(
    "darkroom_prefetches",
    "Tasks by when they were in hand: hit (as the runtime became free), miss (later), given_back (far too early)",
    ["result"],
    registry=REGISTRY,
)
IN_FLIGHT = Gauge("darkroom_tasks_in_flight", "Tasks held: fetched, running or in delivery", registry=REGISTRY)
RETRIES = Counter(
    "darkroom_retries",
    "Tries that failed and were repeated: receive, claim, input, heartbeat, upload, report",
    ["of"],
    registry=REGISTRY,
)


class Busy(Collector):
    """Seconds that the runtime worked; a run under way counts too, so that long ones do not come as one step."""

    def __init__(self) -> None:
        self._total = 0.0
        self._since: float | None = None

    def start(self) -> None:
        """A run begins."""
        self._since = time.monotonic()

    def stop(self) -> None:
        """The run has ended."""
        self._total, self._since = self.total(), None

    def total(self) -> float:
        """Seconds until now."""
        return self._total + (0 if self._since is None else time.monotonic() - self._since)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """See `prometheus_client.registry.Collector`."""
        yield CounterMetricFamily("darkroom_gpu_busy_seconds", "Seconds that the runtime worked", self.total())


GPU = Busy()
REGISTRY.register(GPU)
ProcessCollector(registry=REGISTRY)


def is_busy() -> bool:
    """Whether a task is held, and would be lost for a while with this process."""
    return bool(REGISTRY.get_sample_value("darkroom_tasks_in_flight"))


def render() -> tuple[bytes, str]:
    """What a scrape is answered, and its content type."""
    return generate_latest(REGISTRY), "text/plain; version=1.0.0; charset=utf-8"
