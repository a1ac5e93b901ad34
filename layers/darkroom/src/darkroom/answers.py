"""What the API says of tasks."""

from collections.abc import Mapping
from typing import Any

from darkroom.attempts import Attempt, attempts_of
from darkroom.models import Model, Timestamp
from darkroom.outputs import OutputOptions
from darkroom.ports import BlobLinks
from darkroom.tasks import Priority, Task, TaskError, TaskStatus, TaskType
from darkroom.webhooks import Webhook

_TYPES: Mapping[TaskType, str] = {TaskType.TEXT_TO_IMAGE: "txt2img", TaskType.IMAGE_TO_IMAGE: "img2img"}
_STATUSES: Mapping[TaskStatus, str] = {
    TaskStatus.QUEUED: "in progress",
    TaskStatus.RUNNING: "in progress",
    TaskStatus.SUCCEEDED: "succeed",
}


class ImageFile(Model):
    """An image: where it lies, and a link by which anyone can fetch it for an hour."""

    uri: str
    url: str | None = None


class Phases(Model):
    """How long the phases of a task took, in seconds: waiting, then those of the attempt that ended it."""

    queue: float | None = None
    download: float | None = None
    run: float | None = None
    upload: float | None = None


class TaskSummary(Model):
    """A task.

    `display_name` is `time->type->status->id`. `images` and `output_url` say where the outputs lie.
    """

    id: str
    owner: str
    display_name: str
    runtime: str
    type: TaskType
    status: TaskStatus
    priority: Priority
    prefix: str
    output_location: str
    model: str | None
    context: Any
    pipeline_id: str | None
    webhook: Webhook | None
    output: OutputOptions | None
    attempt: int
    progress: float | None
    images: tuple[ImageFile, ...]
    output_url: str | None
    error: TaskError | None
    timings: Phases
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    expires_at: Timestamp


class TaskDetails(TaskSummary):
    """A task, with all that is known of it.

    `queue_position` is about how many tasks are handed out before it, and this one; null where it does not wait or
    that is unknown. `preview_url` shows what the running attempt has so far. `output_download_url` is a link to the
    runtime's whole answer. Links hold for an hour.
    """

    queue_position: int | None = None
    preview_url: str | None = None
    output_download_url: str | None = None
    attempts: tuple[Attempt, ...] = ()


class TaskList(Model):
    """A page of tasks, the newest first. `next_cursor` is null on the last page."""

    items: tuple[TaskSummary, ...]
    next_cursor: str | None


def display_name(task: Task) -> str:
    """A task in one line, in the words of the list of inference jobs that users know: time, type, status, id."""
    time = task.created_at.strftime("%Y-%m-%d %H:%M:%S")
    kind = _TYPES.get(task.type, task.type)
    if task.type is TaskType.INTERROGATE:
        kind = "interrogate_deepbooru" if task.variant == "deepdanbooru" else "interrogate_clip"
    return f"{time}->{kind}->{_STATUSES.get(task.status, 'fail')}->{task.id}"


def summarize(task: Task) -> TaskSummary:
    """A task as lists show it."""
    return TaskSummary(**_known(task), images=tuple(ImageFile(uri=image) for image in task.images))


def detail(task: Task, links: BlobLinks, queue_position: int | None = None) -> TaskDetails:
    """A task with all that is known of it."""
    return TaskDetails(
        **_known(task),
        images=tuple(ImageFile(uri=image, url=links.to_get(image)) for image in task.images),
        queue_position=queue_position,
        preview_url=links.to_get(task.preview) if task.preview and not task.status.ended else None,
        output_download_url=links.to_get(task.output_url) if task.output_url else None,
        attempts=attempts_of(task),
    )


_SAME = frozenset(TaskSummary.model_fields) & frozenset(Task.model_fields) - {"images", "timings"}


def _known(task: Task) -> dict[str, Any]:
    same = {name: getattr(task, name) for name in _SAME}
    return same | {"display_name": display_name(task), "timings": _phases(task)}


def _phases(task: Task) -> Phases:
    parts = task.timings.model_dump() if task.timings is not None else {}
    began = task.started_at
    return Phases(queue=(began - task.created_at).total_seconds() if began is not None else None, **parts)
