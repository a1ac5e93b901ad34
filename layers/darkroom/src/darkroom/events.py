"""What is said when a task changes: events on the bus, one for each change of status.

`news` is the one place that decides what a change means: the functions only carry it out.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol, Self
from uuid import UUID, uuid5

from pydantic import Field

from darkroom.models import Model, Timestamp, to_text
from darkroom.tasks import Task, TaskError, TaskStatus, TaskType, Timings

SOURCE = "darkroom"
_NAMESPACE = UUID("6ac5fb4e-6e4a-5a3e-9d29-2f3f0c7f9a5e")


class BusEvent(Protocol):
    """What the bus takes: the `detail` of an event, and its `detail-type`."""

    @property
    def detail_type(self) -> str:
        """Which event this is."""

    def to_json(self) -> str:
        """The detail."""


class EventType(StrEnum):
    """The `detail-type` of an event on the bus."""

    TASK_QUEUED = "TaskQueued"
    TASK_STARTED = "TaskStarted"
    TASK_SUCCEEDED = "TaskSucceeded"
    TASK_FAILED = "TaskFailed"
    TASK_CANCELLED = "TaskCancelled"
    TASK_EXPIRED = "TaskExpired"


_TYPES = {
    TaskStatus.QUEUED: EventType.TASK_QUEUED,
    TaskStatus.RUNNING: EventType.TASK_STARTED,
    TaskStatus.SUCCEEDED: EventType.TASK_SUCCEEDED,
    TaskStatus.FAILED: EventType.TASK_FAILED,
    TaskStatus.CANCELLED: EventType.TASK_CANCELLED,
    TaskStatus.EXPIRED: EventType.TASK_EXPIRED,
}


class TaskEvent(Model):
    """The `detail` of a task's event.

    `event_id` is the same whenever the same change is told again, so consumers can tell repetitions.
    """

    version: Literal["1"] = "1"
    event_id: UUID
    id: str
    owner: str
    runtime: str
    type: TaskType
    status: TaskStatus
    attempt: int
    output_location: str
    context: Any = Field(default_factory=dict)
    model: str | None = None
    images: tuple[str, ...] = ()
    output_url: str | None = None
    error: TaskError | None = None
    timings: Timings | None = None
    created_at: Timestamp
    started_at: Timestamp | None = None
    finished_at: Timestamp | None = None

    @property
    def detail_type(self) -> EventType:
        """Which event this is."""
        return _TYPES[self.status]

    @classmethod
    def of(cls, task: Task) -> Self:
        """The event that says that the task is now in its status."""
        return cls(event_id=event_id(task), **cls.shared_with(task))


def event_id(task: Task) -> UUID:
    """The id of the event that the task reached its status, derived from what makes it one of a kind."""
    life = (str(task.key), to_text(task.created_at), str(task.attempt), str(task.dispatch), task.status)
    return uuid5(_NAMESPACE, " ".join(life))


PROGRESS_STEPS = 10
"""In how many steps progress is told."""


def progress_step(task: Task) -> int:
    """How many whole steps a running task has done."""
    return int((task.progress or 0) * PROGRESS_STEPS)


def progress_id(task: Task) -> UUID:
    """The id of the event that a running task came to its step."""
    return uuid5(event_id(task), f"progress {progress_step(task)}")


@dataclass(frozen=True)
class News:
    """What a change of a task calls for.

    `dispatch`: the task needs a message to a queue. `event`: the bus is to be told. `ended`: its owner too.
    `progress`: it came a step further, which is told to webhooks that ask for it.
    """

    dispatch: bool = False
    event: bool = False
    ended: bool = False
    progress: bool = False


def news(old: Task | None, new: Task) -> News:
    """Say what the change from `old` (None: there was no task) to `new` calls for."""
    submitted = old is None or old.created_at != new.created_at
    moved = submitted or (old is not None and old.status is not new.status)
    return News(
        dispatch=new.status is TaskStatus.QUEUED
        and (submitted or (old is not None and old.dispatch != new.dispatch)),
        event=moved,
        ended=moved and new.status.ended,
        progress=not moved and old is not None and progress_step(old) < progress_step(new),
    )
