"""How pipelines look: a tree of steps, live while one watches; lines where there is no terminal."""

from collections.abc import Iterable, Sequence

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from darkroom.models import JsonObject
from darkroom_cli.commands.sessions import Session

_STYLES = {"running": "yellow", "succeeded": "green", "failed": "red", "cancelled": "magenta", "skipped": "dim"}
_BAR = 24


def pipeline_table(pipelines: Sequence[JsonObject]) -> Table:
    """One row a pipeline."""
    table = Table("ID", "NAME", "STATUS", "CREATED", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for it in pipelines:
        table.add_row(it["id"], it["name"], _status(it), it["created_at"])
    return table


def tree(pipeline: JsonObject) -> Tree:
    """A pipeline as a tree of its steps, each below the last step that it waits for."""
    root = Tree(Text.assemble((pipeline["id"], "bold"), f"  {pipeline['name']}  ", _status(pipeline)))
    branches: dict[str, Tree] = {}
    for step in pipeline["steps"]:
        parent = branches[step["needs"][-1]] if step["needs"] else root
        branches[step["id"]] = parent.add(_row(step))
        if step["error"]:
            branches[step["id"]].add(_error(step))
    if pipeline["error"]:
        root.add(_error(pipeline))
    return root


def _status(it: JsonObject) -> Text:
    return Text(it["status"], _STYLES.get(it["status"], "dim"))


def _error(it: JsonObject) -> Text:
    return Text(f"{it['error']['type']}: {it['error']['message']}", "red" if it["status"] == "failed" else "dim")


def _row(step: JsonObject) -> Table:
    row = Table.grid(padding=(0, 2, 0, 0))
    count = f"{step['done']}/{step['items']}" if step["items"] != 1 else ""
    bar = ProgressBar(total=1, completed=step["progress"], width=_BAR)
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
