"""Batches as their owners see them."""

from typing import Any, Self

from darkroom.batches import Batch, BatchStatus, Counts, Format, Kind, RowFailure
from darkroom.models import LateModel, Timestamp
from darkroom.tasks import TaskError


class Progress(LateModel):
    """How many rows stand where. `rows` is absent until the manifest has been read; `pending` have not begun.

    While a batch runs, these are some seconds old, and `failed` counts the present run.
    """

    rows: int | None
    pending: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


class ResultFile(LateModel):
    """A file of JSON Lines: its link in S3, and a URL to fetch it from for an hour."""

    uri: str
    url: str


class BatchSummary(LateModel):
    """A batch in a list. `progress` is there once it has ended."""

    id: str
    status: BatchStatus
    manifest: str
    format: Format
    kind: Kind
    definition: str | None
    run: int
    max_concurrency: int
    tolerated_failure_percentage: float
    created_at: Timestamp
    started_at: Timestamp
    expires_at: Timestamp
    finished_at: Timestamp | None
    error: TaskError | None
    context: Any
    progress: Progress | None

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """The summary of a batch."""
        return cls(**batch.public(), progress=progress_of(batch) if batch.counts is not None else None)


class BatchDetails(BatchSummary):
    """A batch and its rows' progress.

    `results` has a line for each row that has begun, `failures_file` one for each that failed; both are there once
    the batch has ended and nothing of it goes on. `failures` are the first 20 that failed.
    """

    progress: Progress
    results: ResultFile | None
    failures: tuple[RowFailure, ...]
    failures_file: ResultFile | None


class BatchList(LateModel):
    """A page of batches, the newest first."""

    items: tuple[BatchSummary, ...]
    next_cursor: str | None


def progress_of(batch: Batch, run: Counts | None = None) -> Progress:
    """How a batch stands; `run` counts what its present run has done so far, where it has not ended."""
    counts = batch.counts
    if counts is None:
        now = run or Counts()
        counts = now.model_copy(update={"succeeded": batch.kept + now.succeeded})
    begun = counts.running + counts.succeeded + counts.failed + counts.cancelled
    return Progress(rows=batch.rows, pending=max(0, (batch.rows or 0) - begun), **counts.model_dump())
