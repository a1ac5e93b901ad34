"""What a run comes to, in numbers and as a table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

from darkroom.models import JsonObject
from darkroom_cli.planning.simulation import Run


@dataclass(frozen=True)
class Summary:
    """One run in numbers; times in seconds, `busy` a share of the paid time, `usd` of GPU nodes only.

    `first_image` is None where a pod was ready, or no image was made.
    """

    name: str
    tasks: int
    done: int
    first_image: float | None
    wait_median: float
    wait_95: float
    wait_most: float
    backlog_most: int
    replicas_most: int
    node_hours: float
    busy: float
    usd: float
    usd_per_thousand: float
    quiet_after: float

    @classmethod
    def of(cls, run: Run) -> "Summary":
        """The summary of a run; a task that was never begun has waited until its end."""
        waits = sorted(min(task.waited, run.ended - task.arrived) for task in run.tasks)
        done = sum(task.finished is not None for task in run.tasks)
        return cls(
            name=run.values.name,
            tasks=len(run.tasks),
            done=done,
            first_image=sum(phase.seconds for phase in run.phases) if run.phases else None,
            wait_median=percentile(waits, 50),
            wait_95=percentile(waits, 95),
            wait_most=waits[-1],
            backlog_most=max(sample.waiting for sample in run.samples),
            replicas_most=max(sample.replicas for sample in run.samples),
            node_hours=run.node_seconds / 3600,
            busy=run.busy,
            usd=run.usd,
            usd_per_thousand=run.usd / done * 1000 if done else 0.0,
            quiet_after=run.ended,
        )


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent of them do not exceed (nearest rank); the values are in order."""
    rank = -(-len(values) * percent // 100)
    return values[max(rank, 1) - 1]


_ROWS: tuple[tuple[str, str, str], ...] = (
    ("first image after", "first_image", "s"),
    ("a task waits, median", "wait_median", "s"),
    ("a task waits, 95 %", "wait_95", "s"),
    ("a task waits, at most", "wait_most", "s"),
    ("backlog, at most", "backlog_most", ""),
    ("replicas, at most", "replicas_most", ""),
    ("GPU nodes, hours", "node_hours", "h"),
    ("GPUs work", "busy", "%"),
    ("GPU nodes, US dollars", "usd", "$"),
    ("for 1,000 tasks, US dollars", "usd_per_thousand", "$"),
    ("quiet again after", "quiet_after", "s"),
)


def summary_table(runs: Sequence[Run], title: str) -> Table:
    """The runs side by side, the time to the first image in phases below."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    summaries = [Summary.of(run) for run in runs]
    for summary in summaries:
        table.add_column(summary.name, justify="right")
    for label, name, unit in _ROWS:
        table.add_row(label, *(_shown(asdict(summary)[name], unit) for summary in summaries))
    if any(summary.done < summary.tasks for summary in summaries):
        table.add_row("[red]tasks not done[/]", *(str(summary.tasks - summary.done) for summary in summaries))
    phases = list(dict.fromkeys(phase.name for run in runs for phase in run.phases))
    if phases:
        table.add_section()
    for name in phases:
        found = [{phase.name: phase.seconds for phase in run.phases}.get(name) for run in runs]
        table.add_row(f"  {name}", *(_shown(value, "s") for value in found))
    return table


def _shown(value: float | str | None, unit: str) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    match unit:
        case "s":
            return f"{value:,.1f} s"
        case "h":
            return f"{value:,.2f}"
        case "%":
            return f"{value:.0%}"
        case "$":
            return f"{value:,.2f}"
        case _:
            return f"{value:,}"


def as_json(runs: Sequence[Run]) -> JsonObject:
    """Everything but the samples, for programs."""
    return {
        "runs": [
            asdict(Summary.of(run)) | {"phases": {phase.name: round(phase.seconds, 3) for phase in run.phases}}
            for run in runs
        ]
    }
