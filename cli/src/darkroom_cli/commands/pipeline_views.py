"""How pipelines look: a tree of steps, live while one watches; lines where there is no terminal."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from darkroom.models import JsonObject
from darkroom_cli.commands.sessions import Session
from darkroom_cli.views import local_time

_STYLES = {"running": "yellow", "succeeded": "green", "failed": "red", "cancelled": "magenta", "skipped": "dim"}
_INDENT, _STATUS, _BAR, _COUNT = 4, 9, 24, 9  # characters


def pipeline_table(pipelines: Sequence[JsonObject]) -> Table:
    """One row a pipeline."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("CREATED", no_wrap=True)
    table.add_column("STATUS", no_wrap=True)
    table.add_column("ID", no_wrap=True, overflow="fold")
    table.add_column("NAME", overflow="ellipsis")
    for it in pipelines:
        table.add_row(local_time(datetime.fromisoformat(it["created_at"])), _status(it), it["id"], it["name"])
    return table


def tree(pipeline: JsonObject) -> Tree:
    """A pipeline as a tree of its steps, each below the last step that it waits for."""
    root = Tree(Text.assemble((pipeline["id"], "bold"), f"  {pipeline['name']}  ", _status(pipeline)))
    depths: dict[str, int] = {}
    for step in pipeline["steps"]:
        depths[step["id"]] = depths[step["needs"][-1]] + 1 if step["needs"] else 0
    width = max(len(name) + _INDENT * depth for name, depth in depths.items())
    branches: dict[str, Tree] = {}
    for step in pipeline["steps"]:
        parent = branches[step["needs"][-1]] if step["needs"] else root
        branch = branches[step["id"]] = parent.add(_row(step, width - _INDENT * depths[step["id"]]))
        if step["error"]:
            branch.add(_error(step))
    if pipeline["error"]:
        root.add(_error(pipeline))
    return root


def _status(it: JsonObject) -> Text:
    return Text(it["status"], _STYLES.get(it["status"], "dim"))


def _error(it: JsonObject) -> Text:
    return Text(f"{it['error']['type']}: {it['error']['message']}", "red" if it["status"] == "failed" else "dim")


def _row(step: JsonObject, width: int) -> Table:
    """A step in columns; `width` is the first one's, which lines the others up through the whole tree."""
    row = Table.grid(padding=(0, 2, 0, 0))
    for column in (width, _STATUS, _BAR, _COUNT):
        row.add_column(width=column, no_wrap=True)
    style = _STYLES.get(step["status"], "dim")
    bar = ProgressBar(total=1, completed=step["progress"], width=_BAR, complete_style=style, finished_style=style)
    count = f"{step['done']}/{step['items']}" if step["items"] > 1 else f"{step['progress']:.0%}"
    row.add_row(step["id"], _status(step), bar, count, Text(step["runtime"], "dim"))
    return row


def follow(session: Session, looks: Iterable[JsonObject]) -> JsonObject:
    """Show each look at a pipeline, and return the last."""
    pipeline: JsonObject = {}
    if not session.err.is_terminal or session.json:
        told = _Lines(session)
        for pipeline in looks:
            told.update(pipeline)
        return pipeline
    with Live(console=session.err, refresh_per_second=4) as live:
        for pipeline in looks:
            live.update(tree(pipeline))
    return pipeline


class _Lines:
    """A line for each change, where there is no terminal to draw on."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._told: dict[str, str] = {}

    def update(self, pipeline: JsonObject) -> None:
        """Tell what has changed."""
        for name, status in [*((it["id"], it["status"]) for it in pipeline["steps"]), ("", pipeline["status"])]:
            if self._told.get(name, "waiting") != status:
                self._session.say(f"{pipeline['id']} {name} {status}".replace("  ", " "))
            self._told[name] = status
