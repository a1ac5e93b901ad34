"""How tasks and runtimes look on a terminal."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from darkroom.tasks import TaskStatus
from darkroom_cli.runtimes import Runtime
from darkroom_cli.tasks import Task

STYLES = {
    TaskStatus.QUEUED: "dim",
    TaskStatus.RUNNING: "yellow",
    TaskStatus.SUCCEEDED: "green",
    TaskStatus.FAILED: "red",
    TaskStatus.CANCELLED: "magenta",
    TaskStatus.EXPIRED: "magenta",
}

_MINUTE, _HOUR = 60, 3600


def task_table(tasks: Sequence[Task]) -> Table:
    """One row a task, in the guide's order: time, type, status, id."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for column in ("TIME", "TYPE", "STATUS", "ID"):
        table.add_column(column, no_wrap=True, overflow="fold" if column == "ID" else "ellipsis")
    table.add_column("RUNTIME", no_wrap=True)
    table.add_column("", overflow="ellipsis")
    for task in tasks:
        remark = Text(_remark(task), "dim", no_wrap=True, overflow="ellipsis")
        table.add_row(local_time(task.created_at), task.type, status(task), task.id, task.runtime or "", remark)
    return table


def status(task: Task) -> Text:
    """The status, in its colour, and how far a running task is."""
    return Text(task.status, STYLES[task.status])


def task_sheet(task: Task) -> RenderableType:
    """Everything about one task that a person asks for."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(task):
        facts.add_row(name, value)
    return facts


def runtime_table(runtimes: Sequence[Runtime]) -> Table:
    """One row a runtime, and how it fares."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("NAME", no_wrap=True)
    table.add_column("TYPE", no_wrap=True)
    table.add_column("MODEL", overflow="fold")
    for column in ("WAITING", "RUNNING", "OLDEST", "STARTS IN", "DEAD"):
        table.add_column(column, no_wrap=True, justify="right")
    for runtime in runtimes:
        table.add_row(runtime.name, runtime.type, _model(runtime), *_health(runtime))
    return table


def duration(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None:
        return ""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"
    return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"


def _facts(task: Task) -> list[tuple[str, str | Text]]:
    facts: list[tuple[str, str | Text]] = [("id", task.id), ("type", task.type), ("status", _long_status(task))]
    if task.error is not None:
        facts.append(("error", Text(f"{task.error.type}: {task.error.message}", "red")))
    facts += [(name, value) for name in ("runtime", "model") if (value := getattr(task, name))]
    moments = ("created_at", "started_at", "finished_at", "expires_at")
    facts += [(name.removesuffix("_at"), local_time(value)) for name in moments if (value := getattr(task, name))]
    timings = {name: value for name, value in (task.timings or {}).items() if isinstance(value, int | float)}
    if timings:
        facts.append(("timings", ", ".join(f"{name} {duration(value)}" for name, value in timings.items())))
    if len(task.attempts) > 1:
        facts += [(f"attempt {it.number}", _attempt(it.outcome, it.error)) for it in task.attempts]
    facts += [("image", image.uri) for image in task.images]
    if task.output_url:
        facts.append(("output", task.output_url))
    return facts


def _long_status(task: Task) -> Text:
    text = status(task)
    remark = _remark(task) if not task.error else ""
    return text.append(f"  {remark}", "dim") if remark else text


def _remark(task: Task) -> str:
    if task.status is TaskStatus.RUNNING and task.progress is not None:
        return f"{task.progress:.0%}"
    if task.status is TaskStatus.QUEUED and task.queue_position is not None:
        return f"{task.queue_position} in the queue"
    if task.error is not None:
        return task.error.message
    if task.started_at is not None and task.finished_at is not None:
        return duration((task.finished_at - task.started_at).total_seconds())
    return ""


def _attempt(outcome: str | None, error: object) -> str:
    reason = getattr(error, "message", None)
    return " ".join(filter(None, (outcome, f"({reason})" if reason else None)))


def _health(runtime: Runtime) -> list[str]:
    health = runtime.health
    return [
        str(health.backlog),
        str(health.in_flight),
        duration(health.oldest_age_seconds),
        duration(health.estimated_start_seconds),
        str(health.dead_letters),
    ]


def _model(runtime: Runtime) -> str:
    return (runtime.model or "") + (", …" if runtime.dynamic_model else "")


def local_time(moment: datetime | None) -> str:
    """A moment as the terminal's clock has it, to the second."""
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
