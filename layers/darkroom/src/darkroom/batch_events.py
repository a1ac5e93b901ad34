"""What is said when a batch begins or ends: events on the bus."""

from enum import StrEnum
from typing import Any, Literal, Self
from uuid import UUID, uuid5

from pydantic import Field

from darkroom.batches import Batch, BatchStatus, Counts, Kind
from darkroom.models import Model, Timestamp, to_text
from darkroom.tasks import TaskError

_NAMESPACE = UUID("5a7d0f0c-0a39-5a0e-9a51-5c8e3a6a7f42")


class BatchEventType(StrEnum):
    """The `detail-type` of an event on the bus."""

    BATCH_STARTED = "BatchStarted"
    BATCH_SUCCEEDED = "BatchSucceeded"
    BATCH_FAILED = "BatchFailed"
    BATCH_CANCELLED = "BatchCancelled"


_TYPES = {
    BatchStatus.RUNNING: BatchEventType.BATCH_STARTED,
    BatchStatus.SUCCEEDED: BatchEventType.BATCH_SUCCEEDED,
    BatchStatus.FAILED: BatchEventType.BATCH_FAILED,
    BatchStatus.CANCELLED: BatchEventType.BATCH_CANCELLED,
}


class BatchEvent(Model):
    """The `detail` of a batch's event. `event_id` is the same whenever the same change is told again.

    An end is told once nothing of the batch goes on: `counts` are final, and `results` lies in the bucket.
    """

    version: Literal["1"] = "1"
    event_id: UUID
    id: str
    owner: str
    status: BatchStatus
    run: int
    manifest: str
    kind: Kind
    context: Any = Field(default_factory=dict)
    rows: int | None = None
    counts: Counts | None = None
    results: str | None = None
    error: TaskError | None = None
    created_at: Timestamp
    started_at: Timestamp
    finished_at: Timestamp | None = None

    @property
    def detail_type(self) -> BatchEventType:
        """Which event this is."""
        return _TYPES[self.status]

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """The event that says that the batch is now in its status."""
        known = cls.shared_with(batch)
        known["results"] = batch.results_file if batch.counts is not None and batch.rows is not None else None
        name = f"{batch.key} {to_text(batch.created_at)} {batch.run} {batch.status}"
        return cls(event_id=uuid5(_NAMESPACE, name), **known)


def is_news(old: Batch | None, new: Batch) -> bool:
    """Whether the change from `old` (None: there was none) to `new` is told."""
    if not new.status.ended:
        return old is None or old.run != new.run
    return new.counts is not None and (old is None or old.counts is None or old.run != new.run)
