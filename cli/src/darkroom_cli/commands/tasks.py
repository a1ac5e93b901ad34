"""`darkroom tasks …`: what became of what was asked for."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.table import Table

from darkroom.models import now
from darkroom.tasks import TaskStatus, TaskType
from darkroom_cli.commands.completions import complete_runtime, complete_task
from darkroom_cli.commands.progress import TaskProgress
from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session
from darkroom_cli.commands.submit import follow
from darkroom_cli.errors import TaskNotSucceededError, UsageError
from darkroom_cli.moments import read_moment
from darkroom_cli.tasks import Filter, Task
from darkroom_cli.views import task_sheet, task_table

if TYPE_CHECKING:
    from darkroom_cli.client import Client

app = typer.Typer(no_args_is_help=True, help="See and steer tasks.")

LATEST = 10
"""How many tasks are listed where nobody says how many."""

_EVERY = 2.0


def _either(choices: Iterable[str]) -> str:
    return ", ".join(choices)


Id = Annotated[str, typer.Argument(metavar="ID", help="The task's id.", autocompletion=complete_task)]
Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="The tasks' ids.", autocompletion=complete_task)]


@command(
    app,
    "list",
    examples=(
        "darkroom tasks list --status failed --since 2h",
        "darkroom tasks list --all --json | jq -r .[].id",
    ),
)
def list_tasks(
    session: Session,
    *,
    status: Annotated[
        list[TaskStatus] | None,
        typer.Option(
            "--status", "-s", metavar="STATUS", help=f"Those that are {_either(TaskStatus)}; may be repeated."
        ),
    ] = None,
    type_: Annotated[
        list[TaskType] | None,
        typer.Option(
            "--type", "-t", metavar="TYPE", help=f"Those of this type: {_either(TaskType)}; may be repeated."
        ),
    ] = None,
    runtime: Annotated[str | None, typer.Option("--runtime", "-r", autocompletion=complete_runtime)] = None,
    model: Annotated[str | None, typer.Option("--model", "-m")] = None,
    pipeline: Annotated[str | None, typer.Option(metavar="ID", help="Those of this pipeline.")] = None,
    since: Annotated[str | None, typer.Option(metavar="WHEN", help="As in 2h, 7d, 2026-01-31.")] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Likewise.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = LATEST,
    everything: Annotated[bool, typer.Option("--all", help="All there are.")] = False,
) -> None:
    """List tasks, newest first.

    Into a pipe go names: time->type->status->id, a line each.
    """
    which = _filter(status=status, type=type_, runtime=runtime, model=model, pipeline=pipeline)
    moment = now()
    which |= _filter(since=read_moment(since, moment), until=read_moment(until, moment))
    with session.client() as client:
        tasks = list(client.list(limit=None if everything else limit, **which))
    if session.json or session.out.is_terminal:
        session.give(tasks, lambda: task_table(tasks))
    else:
        session.give_lines([task.display_name for task in tasks])


@command(app, examples=("darkroom tasks show test-t2i", "darkroom tasks show test-t2i --json | jq .timings"))
def show(session: Session, id_: Id) -> None:
    """Show all that is known of a task."""
    with session.client() as client:
        task = client.get(id_)
    session.give(task, lambda: task_sheet(task))


@command(app, examples=("darkroom tasks watch test-t2i && echo done", "darkroom tasks watch"))
def watch(
    session: Session,
    id_: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The task's id.", autocompletion=complete_task)
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Stop watching then (code 5); the task goes on.")
    ] = None,
) -> None:
    """Follow a task until it ends, or without an id, the latest tasks until Ctrl-C.

    With --json, prints the task on a line each time it changes. Ends with code 4 if it did not succeed.
    """
    with session.client() as client:
        if id_ is None:
            _watch_latest(session, client)
        elif session.json:
            _watch_json(session, client, id_, timeout)
        else:
            _watch_one(session, client, id_, timeout)


@command(app, examples=("darkroom tasks download test-t2i --output images",))
def download(
    session: Session,
    id_: Id,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", file_okay=False)] = Path(),
) -> None:
    """Download a task's images, and print the files' names."""
    with session.client() as client:
        files = [str(file) for file in client.download(id_, output)]
    if session.json:
        session.give_json({"files": files})
    else:
        session.give_lines(files)


@command(app, examples=("darkroom tasks cancel test-t2i test-i2i",))
def cancel(session: Session, ids: Ids) -> None:
    """End tasks; those that have ended stay as they are."""
    with session.client() as client:
        _give_changed(session, [client.cancel(id_) for id_ in ids])


@command(app, examples=("darkroom tasks retry test-t2i",))
def retry(session: Session, ids: Ids) -> None:
    """Run tasks that failed, were cancelled or expired once more, under the same ids."""
    with session.client() as client:
        _give_changed(session, [client.retry(id_) for id_ in ids])


@command(app, examples=("darkroom tasks delete test-t2i --yes",))
def delete(
    session: Session,
    ids: Ids,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove tasks that have ended, their records and their images. This cannot be undone."""
    if not yes:
        if not session.err.is_terminal or session.json:
            raise UsageError("Nobody is there to be asked.", hint="Say --yes.")
        typer.confirm(f"Delete {', '.join(ids)} and what they made?", abort=True, err=True)
    with session.client() as client:
        for id_ in ids:
            client.delete(id_)
    if session.json:
        session.give_json({"deleted": ids})
    else:
        session.say(f"deleted {', '.join(ids)}")


def _filter(**fields: object) -> Filter:
    return {name: value for name, value in fields.items() if value}  # type: ignore[return-value]


def _watch_latest(session: Session, client: "Client") -> None:
    if not session.out.is_terminal:
        raise UsageError("There is no terminal to show them on.", hint="Name a task, or use `darkroom tasks list`.")

    def look() -> Table:
        return task_table(list(client.list(limit=max(LATEST, session.out.height - 2))))

    with Live(look(), console=session.out, auto_refresh=False, screen=True) as live:
        while True:
            time.sleep(_EVERY)
            live.update(look(), refresh=True)


def _watch_json(session: Session, client: "Client", id_: str, timeout: float | None) -> None:
    for task in client.watch(id_, timeout):
        session.give_json(task, lines=True)
    if not task.succeeded:
        raise TaskNotSucceededError(task)


def _watch_one(session: Session, client: "Client", id_: str, timeout: float | None) -> None:
    with TaskProgress(session) as progress:
        task = follow(session, client, client.get(id_), progress, timeout)
    session.give(task, lambda: task_sheet(task))
    if not task.succeeded:
        raise TaskNotSucceededError(task)


def _give_changed(session: Session, tasks: list[Task]) -> None:
    if session.json:
        session.give_json(tasks)
    else:
        session.give_lines([f"{task.id} {task.status}" for task in tasks])
