"""How batches look on a terminal."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from darkroom_cli.batches import Batch, Progress
from darkroom_cli.commands.sessions import Session
from darkroom_cli.views import local_time

_BAR = 40
_STYLES = {"running": "yellow", "succeeded": "green", "failed": "red", "cancelled": "magenta"}


def batch_table(batches: Sequence[Batch]) -> Table:
    """One row a batch."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for column in ("TIME", "STATUS", "ID", "ROWS"):
        table.add_column(column, no_wrap=True, overflow="fold" if column == "ID" else "ellipsis")
    for it in batches:
        status = Text(it.status, _STYLES.get(it.status, ""))
        table.add_row(local_time(it.created_at), status, it.id, _counts(it.progress) if it.progress else "")
    return table


def batch_sheet(batch: Batch) -> RenderableType:
    """Everything about one batch that a person asks for."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("id", batch.id)
    facts.add_row("status", Text(batch.status, _STYLES.get(batch.status, "")))
    if batch.error is not None:
        facts.add_row("error", Text(f"{batch.error.type}: {batch.error.message}", "red"))
    facts.add_row("manifest", batch.manifest)
    if batch.definition:
        facts.add_row("pipeline", batch.definition)
    if batch.progress is not None:
        facts.add_row("rows", _counts(batch.progress))
    if batch.results is not None:
        facts.add_row("results", batch.results.uri)
    for failure in batch.failures:
        facts.add_row(f"row {failure.row}", Text(f"{failure.error.type}: {failure.error.message}", "red"))
    more = 0 if batch.progress is None else batch.progress.failed - len(batch.failures)
    if more > 0 and batch.failures_file is not None:
        facts.add_row("", Text(f"and {more} more: darkroom batches results {batch.id} --failures", "dim"))
    return facts


def _counts(progress: Progress) -> str:
    if progress.rows is None:
        return "the manifest is being read"
    names = ("succeeded", "failed", "cancelled", "running", "pending")
    told = [f"{count:,} {name}" for name in names if (count := getattr(progress, name))]
    return f"{progress.rows:,}: {', '.join(told)}" if told else f"{progress.rows:,}"


class BatchProgress:
    """Shows one batch while entered: a bar on a terminal, a line for each change elsewhere. All on stderr."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._live: Live | None = None
        self._told = ""
        if session.err.is_terminal and not session.json:
            self._live = Live(console=session.err, transient=True, refresh_per_second=4)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, batch: Batch) -> None:
        """Show how the batch stands."""
        if self._live is not None:
            self._live.update(_bar(batch))
            return
        line = f"{batch.id} {batch.status}"
        if batch.begun and batch.progress is not None:
            line += f" {batch.progress.done}/{batch.progress.rows}"
        if line != self._told and not self._session.json:
            self._session.say(line)
        self._told = line


def _bar(batch: Batch) -> RenderableType:
    progress = batch.progress or Progress()
    row = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=progress.rows or 1, completed=progress.done, width=_BAR, pulse=not batch.begun)
    row.add_row(Text(batch.id, "bold"), Text(batch.status, _STYLES.get(batch.status, "")), bar, _counts(progress))
    failed = [Text(f"row {it.row}: {it.error.message}", "red", no_wrap=True) for it in batch.failures[-3:]]
    return Group(row, *failed)
