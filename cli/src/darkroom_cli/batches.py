"""Batches, as a caller asks for them and as the API shows them."""

from datetime import datetime
from typing import Any, TypedDict

from darkroom.models import JsonObject, Timestamp
from darkroom_cli.tasks import Fault, Shown

SUCCEEDED = "succeeded"
ENDS = frozenset({SUCCEEDED, "failed", "cancelled"})


class BatchSubmission(TypedDict, total=False):
    """What to ask for, beside the manifest.

    `defaults` is what every task has where its row says nothing else; with `pipeline` (a saved one's name, or a
    document) a row is the inputs of a run instead. The batch stops once more than `tolerated_failure_percentage` of
    its rows have failed. `prefix` is the folder of the results.
    """

    id: str
    format: str
    defaults: JsonObject
    pipeline: str | JsonObject
    max_concurrency: int
    tolerated_failure_percentage: float
    deadline_seconds: int
    prefix: str
    context: Any


class Progress(Shown):
    """How many rows stand where. `rows` is None until the manifest has been read."""

    rows: int | None = None
    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def done(self) -> int:
        """How many rows have ended."""
        return self.succeeded + self.failed + self.cancelled


class ResultFile(Shown):
    """A file of JSON Lines: where it lies, and a link that anyone may fetch it by for a while."""

    uri: str
    url: str | None = None


class RowFailure(Shown):
    """A row that failed. `id` is its task or pipeline, None where neither could be started."""

    row: int
    id: str | None = None
    error: Fault


class Batch(Shown):
    """A batch as it stood when the API was asked. A list shows less of it."""

    id: str
    status: str
    manifest: str
    kind: str = "tasks"
    definition: str | None = None
    run: int = 1
    error: Fault | None = None
    progress: Progress | None = None
    results: ResultFile | None = None
    failures: tuple[RowFailure, ...] = ()
    failures_file: ResultFile | None = None
    context: Any = None
    created_at: Timestamp | None = None
    started_at: Timestamp | None = None
    finished_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """True where nothing of it goes on: rows of one that was cancelled may take a moment."""
        return self.status in ENDS and (self.results is not None or not self.begun)

    @property
    def begun(self) -> bool:
        """True once its manifest has been read."""
        return self.progress is not None and self.progress.rows is not None

    @property
    def succeeded(self) -> bool:
        """True where every row has succeeded."""
        return self.status == SUCCEEDED


class BatchPage(Shown):
    """A stretch of the list, and where the next begins."""

    items: tuple[Batch, ...]
    next_cursor: str | None = None
