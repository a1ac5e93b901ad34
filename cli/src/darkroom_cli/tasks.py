"""Tasks, as a caller asks for them and as the API shows them.

What the API shows is read leniently: a newer API may say more, and what it says is kept.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Required, TypedDict

from pydantic import BaseModel, ConfigDict

from darkroom.models import JsonObject, Timestamp
from darkroom.outputs import OutputOptions
from darkroom.tasks import Priority, TaskStatus
from darkroom.webhooks import Webhook


class Shown(BaseModel):
    """Something that the API shows; fields that this client does not know are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def as_json(self) -> JsonObject:
        """What the API sent."""
        return self.model_dump(mode="json", exclude_unset=True)


class Submission(TypedDict, total=False):
    """What to ask for.

    `type` is one of `darkroom.tasks.TaskType`; `content` is what the runtime is to get, with links (s3, https) in
    place of images. `model` is the checkpoint to use. `id` is a name of one's own; without it, one is made.
    `prefix` is the folder in the output bucket; `context` comes back in every message.
    """

    type: Required[str]
    content: Required[JsonObject]
    runtime: Required[str]
    model: str
    id: str
    prefix: str
    context: Any
    priority: Priority
    deadline_seconds: int
    webhook: Webhook | JsonObject
    output: OutputOptions | JsonObject


class Filter(TypedDict, total=False):
    """Which tasks to list: all that fit every field.

    `status` and `type` may be several, one of which has to fit. `since` (inclusive) and `until` (exclusive) are
    times of creation.
    """

    status: TaskStatus | Sequence[TaskStatus]
    type: str | Sequence[str]
    runtime: str
    model: str
    pipeline: str
    since: datetime
    until: datetime


class Fault(Shown):
    """Why a task failed. `retryable` tells whether the same again may help."""

    type: str
    message: str
    retryable: bool = False


class Image(Shown):
    """One image: where it lies, and a link that anyone may fetch it by for a while."""

    uri: str
    url: str | None = None


class Attempt(Shown):
    """One try at a task, and what became of it."""

    number: int
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    outcome: str | None = None
    error: Fault | None = None


class Task(Shown):
    """A task as it stood when the API was asked."""

    id: str
    type: str
    status: TaskStatus
    runtime: str | None = None
    model: str | None = None
    display_name: str = ""
    progress: float | None = None
    preview_url: str | None = None
    output_download_url: str | None = None
    queue_position: int | None = None
    attempt: int = 0
    attempts: tuple[Attempt, ...] = ()
    images: tuple[Image, ...] = ()
    output_location: str | None = None
    output_url: str | None = None
    error: Fault | None = None
    timings: dict[str, Any] | None = None
    context: Any = None
    created_at: Timestamp | None = None
    started_at: Timestamp | None = None
    finished_at: Timestamp | None = None
    expires_at: Timestamp | None = None

    @property
    def ended(self) -> bool:
        """True where nothing will change any more."""
        return self.status.ended

    @property
    def succeeded(self) -> bool:
        """True where there are images to fetch."""
        return self.status is TaskStatus.SUCCEEDED

    def state(self) -> tuple[object, ...]:
        """What makes one look at a task differ from the next: not its links, which are new each time."""
        preview = (self.preview_url or "").partition("?")[0]
        return (self.status, self.attempt, self.progress, self.queue_position, preview)
