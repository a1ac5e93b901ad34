"""What is shown while one waits: bars and previews on a terminal, a line a change elsewhere. All on stderr."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from darkroom.tasks import TaskStatus
from darkroom_cli.commands.sessions import Session
from darkroom_cli.previews import KITTY_REMOVE, Picture, Protocol, find_protocol, showable
from darkroom_cli.settings import Terminal
from darkroom_cli.tasks import Task
from darkroom_cli.views import STYLES, duration

_BAR = 32


@contextmanager
def upload_bar(session: Session, path: Path) -> Iterator[Callable[[int, int], None]]:
    """A bar for one upload; what it yields hears of bytes."""
    columns = (TextColumn("{task.description}"), BarColumn(_BAR), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=session.err, transient=True, disable=session.json) as bars:
        bar = bars.add_task(f"uploading {path.name}")
        yield lambda done, size: bars.update(bar, completed=done, total=size)


class TaskProgress:
    """Shows one task while entered: its bar, and its preview where the terminal can show one."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._task: Task | None = None
        self._live: Live | None = None
        self._begun = time.monotonic()
        self._told: TaskStatus | None = None
        self._picture: Picture | None = None
        self.protocol: Protocol | None = None
        if session.err.is_terminal and not session.json:
            self._live = Live(
                console=session.err, transient=True, refresh_per_second=4, get_renderable=self._render
            )
            self.protocol = find_protocol(Terminal.from_environment(), is_terminal=True)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        if self._picture is not None and self.protocol is Protocol.KITTY:
            self._session.err.file.write(KITTY_REMOVE)

    def show(self, task: Task, preview: bytes | None = None) -> None:
        """Show how the task stands."""
        self._task = task
        if preview is not None and self.protocol is not None and showable(preview, self.protocol):
            self._picture = Picture(preview, self.protocol, moving=True)
        if self._live is None and task.status is not self._told and not self._session.json:
            self._session.say(f"{task.id} {task.status}")
        self._told = task.status

    def _render(self) -> RenderableType:
        task = self._task
        if task is None:
            return Spinner("dots", "submitting …")
        row = Table.grid(padding=(0, 2))
        waits = task.progress is None and not task.ended
        bar = ProgressBar(total=1, completed=task.progress or 0, width=_BAR, pulse=waits)
        seconds = Text(duration(time.monotonic() - self._begun), "dim")
        row.add_row(Text(task.id, "bold"), Text(task.status, STYLES[task.status]), bar, _remark(task), seconds)
        return row if self._picture is None else Group(self._picture, row)


def _remark(task: Task) -> Text:
    if task.status is TaskStatus.QUEUED:
        return Text("" if task.queue_position is None else f"{task.queue_position} in the queue")
    return Text("" if task.progress is None else f"{task.progress:>4.0%}")
