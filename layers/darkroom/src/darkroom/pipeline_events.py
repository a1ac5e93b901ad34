"""What is said when a pipeline or one of its steps changes: events on the bus."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self
from uuid import UUID, uuid5

from pydantic import Field

from darkroom.models import Model, Timestamp, to_text
from darkroom.pipelines import Pipeline, PipelineKey, PipelineStatus, StepRecord, StepStatus
from darkroom.tasks import TaskError

_NAMESPACE = UUID("0e0c8a4e-52a4-5d8b-8d2b-1d6b6a4b0c11")


class PipelineEventType(StrEnum):
    """The `detail-type` of an event on the bus."""

    PIPELINE_STARTED = "PipelineStarted"
    PIPELINE_SUCCEEDED = "PipelineSucceeded"
    PIPELINE_FAILED = "PipelineFailed"
    PIPELINE_CANCELLED = "PipelineCancelled"
    STEP_STARTED = "StepStarted"
    STEP_SUCCEEDED = "StepSucceeded"
    STEP_FAILED = "StepFailed"


_PIPELINES = {
    PipelineStatus.RUNNING: PipelineEventType.PIPELINE_STARTED,
    PipelineStatus.SUCCEEDED: PipelineEventType.PIPELINE_SUCCEEDED,
    PipelineStatus.FAILED: PipelineEventType.PIPELINE_FAILED,
    PipelineStatus.CANCELLED: PipelineEventType.PIPELINE_CANCELLED,
}
_STEPS = {
    StepStatus.RUNNING: PipelineEventType.STEP_STARTED,
    StepStatus.SUCCEEDED: PipelineEventType.STEP_SUCCEEDED,
    StepStatus.FAILED: PipelineEventType.STEP_FAILED,
}
TOLD_STEPS = frozenset(_STEPS)
"""The changes of a step that are told; a step that is skipped or cancelled never really began or ended."""


class PipelineEvent(Model):
    """The `detail` of a pipeline's event. `event_id` is the same whenever the same change is told again."""

    version: Literal["1"] = "1"
    event_id: UUID
    id: str
    owner: str
    name: str
    status: PipelineStatus
    run: int
    context: Any = Field(default_factory=dict)
    images: tuple[str, ...] = ()
    error: TaskError | None = None
    created_at: Timestamp
    started_at: Timestamp
    finished_at: Timestamp | None = None

    @property
    def detail_type(self) -> PipelineEventType:
        """Which event this is."""
        return _PIPELINES[self.status]

    @classmethod
    def of(cls, pipeline: Pipeline) -> Self:
        """The event that says that the pipeline is now in its status."""
        name = _id(pipeline.key, pipeline.created_at, pipeline.run, pipeline.status)
        return cls(event_id=name, **cls.shared_with(pipeline))


class StepEvent(Model):
    """The `detail` of a step's event."""

    version: Literal["1"] = "1"
    event_id: UUID
    id: str
    owner: str
    step: str
    status: StepStatus
    run: int
    items: int
    images: int = 0
    error: TaskError | None = None
    started_at: Timestamp
    finished_at: Timestamp | None = None

    @property
    def detail_type(self) -> PipelineEventType:
        """Which event this is."""
        return _STEPS[self.status]

    @classmethod
    def of(cls, key: PipelineKey, record: StepRecord) -> Self:
        """The event that says that the step is now in its status."""
        name = _id(key, record.started_at, record.run, f"{record.id} {record.status}")
        named = {"id": key.id, "owner": key.owner, "step": record.id}
        return cls(event_id=name, **{**cls.shared_with(record), **named})


def _id(key: PipelineKey, since: datetime, run: int, what: str) -> UUID:
    return uuid5(_NAMESPACE, f"{key} {to_text(since)} {run} {what}")


def is_news(old: Pipeline | StepRecord | None, new: Pipeline | StepRecord) -> bool:
    """Whether the change from `old` (None: there was none) to `new` is told."""
    if isinstance(new, StepRecord) and new.status not in TOLD_STEPS:
        return False
    return old is None or (old.status, old.run) != (new.status, new.run)
