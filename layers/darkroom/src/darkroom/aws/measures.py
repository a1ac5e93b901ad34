"""CloudWatch metrics of tasks, in namespace `Darkroom`, by embedded metric format: a log line, no call."""

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from darkroom.tasks import Task

_metrics = Metrics(namespace="Darkroom")


def count_submitted(task: Task) -> None:
    """`TasksSubmitted` by runtime."""
    _metrics.add_dimension("runtime", task.runtime)
    _metrics.add_metric("TasksSubmitted", MetricUnit.Count, 1)
    _metrics.flush_metrics()


def measure_end(task: Task) -> None:
    """`TasksFinished`, `QueueTime` and `RunTime` (seconds) by runtime and status."""
    ended = task.finished_at or task.created_at
    started = task.started_at or ended
    _metrics.add_dimension("runtime", task.runtime)
    _metrics.add_dimension("status", task.status)
    _metrics.add_metric("TasksFinished", MetricUnit.Count, 1)
    _metrics.add_metric("QueueTime", MetricUnit.Seconds, (started - task.created_at).total_seconds())
    _metrics.add_metric("RunTime", MetricUnit.Seconds, (ended - started).total_seconds())
    _metrics.flush_metrics()
