"""The messages between the parts: a task on its way to an agent, and a result on its way back."""

from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from darkroom.errors import MessageError
from darkroom.models import JsonObject, Model, Timestamp
from darkroom.tasks import Task, TaskError, TaskKey, TaskType, Timings

M = TypeVar("M", bound=BaseModel)


class TaskMetadata(Model):
    """What the guide calls a task's metadata, with what names it in the table."""

    model_config = ConfigDict(extra="ignore")  # a newer sender may say more

    id: str
    runtime: str
    tasktype: TaskType
    prefix: str
    context: Any = Field(default_factory=dict)
    owner: str
    submission: Timestamp

    @property
    def key(self) -> TaskKey:
        """What names the task."""
        return TaskKey(self.owner, self.id)


class TaskMessage(Model):
    """A task on the `tasks` topic and in a runtime's queue.

    It brings a task to an agent's notice; what is to be done, the agent reads from the task that it claims.
    """

    model_config = ConfigDict(extra="ignore")  # a newer sender may say more

    metadata: TaskMetadata
    content: JsonObject | None = None
    content_ref: str | None = None

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        if (self.content is None) == (self.content_ref is None):
            raise ValueError("a message has either content or content_ref")
        return self

    @classmethod
    def of(cls, task: Task) -> Self:
        """The message for a task that waits."""
        metadata = TaskMetadata(
            id=task.id,
            runtime=task.runtime,
            tasktype=task.type,
            prefix=task.prefix,
            context=task.context,
            owner=task.owner,
            submission=task.created_at,
        )
        return cls(metadata=metadata, content=task.content, content_ref=task.content_ref)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a message.

        Raises:
            MessageError: it is none.
        """
        return _read(cls, text)


def routing_attributes(task: Task) -> dict[str, str]:
    """The attributes by which the topic finds the task's queue.

    A `v1alpha1` request names a checkpoint, not a runtime: its message goes to the runtime that serves it. One of
    high priority goes to the runtime's priority queue, too.
    """
    kind = {"tasktype": task.type, "priority": task.priority}
    if task.routed_by_model and task.model:
        return {"sd_model_checkpoint": task.model, **kind}
    return {"runtime": task.runtime, **kind}


class TaskResult(Model):
    """What an attempt came to, as the agent reports it to the results queue."""

    owner: str
    id: str
    submission: Timestamp
    attempt: int
    outcome: Literal["succeeded", "failed"]
    images: tuple[str, ...] = ()
    output_url: str | None = None
    error: TaskError | None = None
    timings: Timings | None = None

    @model_validator(mode="after")
    def _error_on_failure(self) -> Self:
        if (self.outcome == "failed") != (self.error is not None):
            raise ValueError("a failed result has an error, a succeeded one has none")
        return self

    @property
    def key(self) -> TaskKey:
        """What names the task."""
        return TaskKey(self.owner, self.id)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a result.

        Raises:
            MessageError: it is none.
        """
        return _read(cls, text)


def _read(model: type[M], text: str) -> M:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise MessageError(
            f"not a {model.__name__}: {error.error_count()} faults, {error.errors()[0]['msg']}"
        ) from error
