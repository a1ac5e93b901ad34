"""The message that tells a task's owner of its end, in the form that the user guide fixes."""

from typing import Any, Self

from pydantic import Field

from darkroom.models import Model
from darkroom.tasks import Task, TaskError, TaskStatus


class Callback(Model):
    """What subscribers of the completions topic get, once for each task that ended."""

    id: str
    result: bool
    image_url: tuple[str, ...]
    output_url: str
    context: Any = Field(default_factory=dict)
    error: TaskError | None = None

    @classmethod
    def of(cls, task: Task) -> Self:
        """The message for a task that has ended."""
        return cls(
            id=task.id,
            result=task.status is TaskStatus.SUCCEEDED,
            image_url=task.images,
            output_url=task.output_url or "",
            context=task.context,
            error=task.error,
        )


def callback_attributes(task: Task) -> dict[str, str]:
    """The attributes that subscribers can filter by."""
    return {"runtime": task.runtime, "tasktype": task.type, "status": task.status}
