"""`darkroom submit` and `darkroom run`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from darkroom_cli.commands.progress import TaskProgress
from darkroom_cli.commands.registration import command
from darkroom_cli.commands.requests import RequestOptions, read_request
from darkroom_cli.commands.sessions import Session
from darkroom_cli.errors import ClientError, TaskNotSucceededError
from darkroom_cli.previews import Picture, showable
from darkroom_cli.tasks import Task

if TYPE_CHECKING:
    from darkroom_cli.client import Client

_FOLDER = Annotated[
    Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the images go.", file_okay=False)
]
_TIMEOUT = Annotated[
    float | None, typer.Option("--timeout", metavar="SECONDS", help="Stop waiting then (code 5); the task goes on.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, examples=_SUBMIT_EXAMPLES)(submit)
    command(app, examples=_RUN_EXAMPLES)(run)


_SUBMIT_EXAMPLES = (
    'darkroom submit --prompt "A dog" --steps 16 --size 512x512',
    "darkroom submit --image cat.png --upscale 4 --upscaler Lanczos",
    "darkroom submit --content workflow.json --runtime comfy --set '6.inputs.text=a lighthouse'",
    "id=$(darkroom submit --content - < request.json)",
)
_RUN_EXAMPLES = (
    'darkroom run --prompt "A dog" --count 4 --output dogs',
    'darkroom run --image cat.png --prompt "cat wizard" --denoise 0.6',
    'darkroom run --prompt "A dog" --json | jq -r .files[]',
)


def submit(session: Session, options: RequestOptions) -> None:
    """Ask for images, and print the task's id.

    What is asked for is said by options, by a file (--content), or by both. Pictures on this machine are uploaded.
    """
    with session.client() as client:
        task = client.submit(key=options.key, **read_request(options, session, client))
    if session.json:
        session.give_json(task)
        return
    session.give_lines([task.id])
    if session.err.is_terminal:
        session.say(f"[dim]{task.status}; follow it with `darkroom tasks watch {task.id}`[/]")


def run(session: Session, options: RequestOptions, output: _FOLDER = Path(), timeout: _TIMEOUT = None) -> None:
    """Ask for images, wait for them, and download them.

    Prints the files' names. Ctrl-C stops waiting; the task goes on.
    """
    with session.client() as client:
        submission = read_request(options, session, client)
        with TaskProgress(session) as progress:
            task = client.submit(key=options.key, **submission)
            task = follow(session, client, task, progress, timeout)
            if not task.succeeded:
                raise TaskNotSucceededError(task)
            files = client.download(task, output)
        show_images(session, progress, files)
    if session.json:
        session.give_json({**task.as_json(), "files": [str(file) for file in files]})
    else:
        session.give_lines([str(file) for file in files])


def follow(session: Session, client: "Client", task: Task, progress: TaskProgress, timeout: float | None) -> Task:
    """Show a task until it ends, and return how it ended."""
    try:
        for task in client.watch(task.id, timeout):  # noqa: B020, PLR1704  the same task, later
            progress.show(task, read_preview(client, task, progress))
    except KeyboardInterrupt:
        session.say(f"\n{task.id} goes on; end it with `darkroom tasks cancel {task.id}`.")
        raise
    return task


def read_preview(client: "Client", task: Task, progress: TaskProgress) -> bytes | None:
    """What a running task shows so far, where this terminal could show it."""
    if progress.protocol is None or task.ended:
        return None
    try:
        return client.preview(task)
    except ClientError:
        return None  # a preview is a courtesy


def show_images(session: Session, progress: TaskProgress, files: tuple[Path, ...]) -> None:
    """Show images that were downloaded, where this terminal can."""
    for file in files:
        data = file.read_bytes()
        if progress.protocol is not None and showable(data, progress.protocol):
            session.err.print(Picture(data, progress.protocol))
