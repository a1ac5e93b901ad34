"""What the demo shows: a live table while tasks run, and what came of each."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from darkroom.models import JsonObject
from darkroom_local.demo.pipelines import STYLES
from darkroom_local.demo.requests import DemoTask


def progress_table(tasks: Sequence[DemoTask], states: Mapping[str, JsonObject]) -> Table:
    """One row a task: where it is now."""
    table = Table("task", "request", "status", "progress", box=None, padding=(0, 2, 0, 0))
    for task in tasks:
        state = states.get(task.id, {})
        status = state.get("status", "")
        bar = ProgressBar(total=1, completed=state.get("progress") or 0, width=24)
        table.add_row(task.id, f"{task.version} {task.title}", Text(status, STYLES.get(status, "")), bar)
    return table


def outcome(
    task: DemoTask,
    state: JsonObject,
    callbacks: Sequence[JsonObject],
    events: Sequence[JsonObject],
    files: Sequence[Path],
) -> RenderableType:
    """Everything that is known of one task."""
    facts = Table.grid(padding=(0, 2))
    status = str(state.get("status"))
    facts.add_row("status", Text(status, STYLES.get(status, "")))
    if state.get("error"):
        facts.add_row("error", f"{state['error']['type']}: {state['error']['message']}")
    timings = state.get("timings") or {}
    facts.add_row(
        "timings",
        ", ".join(f"{name} {seconds:.2f} s" for name, seconds in timings.items() if seconds is not None) or "none",
    )
    facts.add_row("output_location", str(state.get("output_location")))
    facts.add_row("images", ", ".join(map(str, files)) or "none")
    parts: list[RenderableType] = [facts]
    for title, messages in (("callback message", callbacks), ("EventBridge event", events)):
        parts += [Text(f"\n{title}", "bold"), *(_json(message) for message in messages)]
    return Panel(Group(*parts), title=f"{task.id}: {task.title}", title_align="left")


def verdict(console: Console, problems: Sequence[str], seconds: float, output: Path) -> None:
    """The last lines: what is missing, or that nothing is."""
    if problems:
        console.print("[b red]Something is missing:[/]")
        for problem in problems:
            console.print(f"  {problem}", highlight=False)
    else:
        console.print(f"[b green]Everything is as it must be.[/] The images are in {output}/ ({seconds:.1f} s).")


def _json(message: JsonObject) -> Syntax:
    return Syntax(json.dumps(message, indent=2), "json", background_color="default", word_wrap=True)
