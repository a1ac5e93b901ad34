"""`darkroom events tail`."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from darkroom.models import JsonObject
from darkroom.tasks import TaskStatus
from darkroom_cli.commands.completions import complete_runtime, complete_task
from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session
from darkroom_cli.errors import ConfigurationError
from darkroom_cli.views import STYLES

if TYPE_CHECKING:
    from darkroom_cli.event_taps import EventTap

app = typer.Typer(no_args_is_help=True, help="Hear what happens, as it happens.")

_TYPE_WIDTH = 18


@command(
    app,
    examples=(
        "darkroom events tail",
        "darkroom events tail --type TaskFailed --json | jq .detail.error",
        "darkroom events tail --task test-t2i --count 2",
    ),
)
def tail(
    session: Session,
    *,
    type_: Annotated[
        list[str] | None, typer.Option("--type", "-t", metavar="EVENT", help="As in TaskFailed; may be repeated.")
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option("--task", metavar="ID", help="Of these tasks.", autocompletion=complete_task)
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option("--runtime", "-r", help="Of these runtimes.", autocompletion=complete_runtime),
    ] = None,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="Stop after so many.")] = None,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="Stop after so long.")] = None,
) -> None:
    """Print the bus's events until Ctrl-C, a line each.

    Makes a rule on the bus and a queue behind it, and removes both when it ends. So it takes AWS credentials: a
    profile that names a stack, or the local cloud.
    """
    aws = session.access.aws
    if aws is None:
        raise ConfigurationError(
            "This profile knows an address and a key, and no AWS account to listen in.",
            hint="Use a profile that names a stack: `darkroom config set NAME --stack STACK`.",
        )
    from darkroom_cli.event_taps import EventTap, Wanted

    wanted = Wanted(types=type_ or (), details={"id": task or (), "runtime": runtime or ()})
    with _ended_by_signals(), EventTap(aws, wanted) as tap:
        if not session.json:
            session.say(f"[dim]listening to {aws.stack}; Ctrl-C stops[/]")
        for event in _limited(tap, count, timeout):
            if session.json:
                session.give_json(event, lines=True)
            else:
                session.out.print(_line(event), soft_wrap=True)


def _limited(tap: "EventTap", count: int | None, timeout: float | None) -> Iterator[JsonObject]:
    from darkroom_cli.event_taps import WAIT

    until = None if timeout is None else time.monotonic() + timeout
    seen = 0
    while until is None or time.monotonic() < until:
        wait = WAIT if until is None else max(0, min(WAIT, int(until - time.monotonic())))
        for event in tap.take(wait):
            yield event
            seen += 1
            if seen == count:
                return


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, so that it cleans up."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _line(event: JsonObject) -> Text:
    detail = event.get("detail") or {}
    text = Text(f"{_time(str(event.get('time', '')))} ", style="dim")
    style = STYLES[TaskStatus(detail["status"])] if detail.get("status") in set(TaskStatus) else ""
    text.append(f"{event.get('detail-type', ''):<{_TYPE_WIDTH}} ", style=style)
    text.append(str(detail.get("id", "")), style="bold")
    error = detail.get("error") or {}
    more = " ".join(filter(None, (detail.get("runtime"), detail.get("type"), error.get("message"))))
    return text.append(f"  {more}", style="default")


def _time(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text).astimezone():%H:%M:%S}"
    except ValueError:
        return text
