"""`darkroom runtimes`."""

from typing import Annotated

import typer

from darkroom_cli.commands.completions import complete_runtime
from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session
from darkroom_cli.views import runtime_table

app = typer.Typer(no_args_is_help=True, help="Who makes the images, and how each fares.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The runtime's name.", autocompletion=complete_runtime)]


@command(app, "list", examples=("darkroom runtimes list",))
def list_runtimes(session: Session) -> None:
    """List the runtimes: what waits, what runs, and when a new task would start."""
    with session.client() as client:
        runtimes = client.runtimes()
    session.give(runtimes, lambda: runtime_table(runtimes))


@command(app, examples=("darkroom runtimes show sdruntime --json | jq .health.backlog",))
def show(session: Session, name: Name) -> None:
    """Show one runtime."""
    with session.client() as client:
        runtime = client.runtime(name)
    session.give(runtime, lambda: runtime_table([runtime]))


@command(app, examples=("darkroom runtimes redrive sdruntime",))
def redrive(session: Session, name: Name) -> None:
    """Put what ended in a runtime's dead-letter queue back into its queue. Takes an operator's key."""
    with session.client() as client:
        answer = client.redrive(name)
    if session.json:
        session.give_json(answer)
    else:
        session.say(f"{name}: {answer.moved} dead letters are on their way back")
