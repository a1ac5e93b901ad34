"""What was done with a task and when, as a trace that continues the message's.

Off, nothing of OpenTelemetry is loaded: it would cost memory and time that every pod pays.
"""

from dataclasses import dataclass

from darkroom.tasks import Task, TaskError


@dataclass
class Phase:
    """A part of an attempt: when it began (seconds since the epoch), and how many seconds it took."""

    name: str
    began: float
    seconds: float = 0


@dataclass(frozen=True)
class AttemptRecord:
    """An attempt that is over.

    Attributes:
        task: as it was claimed.
        header: the X-Ray header of the message that brought it.
        began: when it was claimed, in seconds since the epoch.
        phases: what was done with it.
        end: how it ended here.
        error: what was told of that.
    """

    task: Task
    header: str | None
    began: float
    phases: tuple[Phase, ...]
    end: str
    error: TaskError | None = None


class Traces:
    """Records nothing; `darkroom_agent.otel` has what does."""

    def record(self, attempt: AttemptRecord) -> None:
        """Record an attempt that ended this moment."""

    def close(self) -> None:
        """Send what was recorded."""


NO_TRACES = Traces()


def load_traces(endpoint: str | None, runtime: str) -> Traces:
    """Traces for that OTLP endpoint (the address of a collector, without a path), where there is one."""
    if not endpoint:
        return NO_TRACES
    from darkroom_agent.otel import OtelTraces  # noqa: PLC0415  see above

    return OtelTraces(endpoint, runtime)
