"""What a webhook says of a task, and the message that takes it to where it is sent from."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import ConfigDict, Field, ValidationError

from darkroom.answers import TaskSummary, summarize
from darkroom.errors import MessageError
from darkroom.events import News, event_id, progress_id
from darkroom.models import Model, Timestamp
from darkroom.tasks import Task, TaskKey, TaskStatus
from darkroom.webhooks import AnyWebhookEvent, Webhook, WebhookEvent

_EVENTS: Mapping[TaskStatus, WebhookEvent] = {
    TaskStatus.RUNNING: "task.started",
    TaskStatus.SUCCEEDED: "task.succeeded",
    TaskStatus.FAILED: "task.failed",
    TaskStatus.CANCELLED: "task.cancelled",
    TaskStatus.EXPIRED: "task.expired",
}


class WebhookPayload(Model):
    """What is posted, in the form that Standard Webhooks recommends.

    `timestamp` is when it happened; `data` is the task as it was then, in the form in which `GET /v1/tasks` lists
    it. Its images have no links that expire: a webhook may be read a day later.
    """

    type: WebhookEvent
    timestamp: Timestamp
    data: TaskSummary


class Notice(Model):
    """One event for one webhook, on the queue `webhooks`.

    `webhook_id` is that of the event, so the same event has the same one however often it is told. `body` is what
    is posted, byte for byte the same at every try. `made` counts the tries that led to this message.
    """

    model_config = ConfigDict(extra="ignore")  # a newer sender may say more

    owner: str
    task: str
    webhook_id: UUID
    type: AnyWebhookEvent
    url: str
    secret_ref: str | None = None
    body: str
    created_at: Timestamp
    made: Annotated[int, Field(ge=0)] = 0
    not_before: Timestamp | None = None

    @property
    def key(self) -> TaskKey:
        """What names the task."""
        return TaskKey(self.owner, self.task)

    def again(self, at: datetime) -> Self:
        """The message for the try after this one."""
        return self.model_copy(update={"made": self.made + 1, "not_before": at})

    def wait(self, now: datetime) -> float:
        """How long it is until this message's try, in seconds; 0 where it is due."""
        return max(0.0, (self.not_before - now).total_seconds()) if self.not_before else 0.0

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a message.

        Raises:
            MessageError: it is none.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise MessageError(f"not a Notice: {error.errors()[0]['msg']}") from error


def notice(task: Task, change: News, now: datetime) -> Notice | None:
    """The message that a change calls for, or None where the task's owner did not ask for it."""
    webhook = task.webhook
    if webhook is None or not (change.event or change.progress):
        return None
    event: WebhookEvent | None = "task.progress" if change.progress else _EVENTS.get(task.status)
    return None if event is None or event not in webhook.events else _notice(task, webhook, event, now)


def _notice(task: Task, webhook: Webhook, event: WebhookEvent, now: datetime) -> Notice:
    progress = event == "task.progress"
    at = now if progress else task.finished_at or task.started_at or now
    return Notice(
        owner=task.owner,
        task=task.id,
        webhook_id=progress_id(task) if progress else event_id(task),
        type=event,
        url=webhook.url,
        secret_ref=webhook.secret_ref,
        body=WebhookPayload(type=event, timestamp=at, data=summarize(task)).to_json(),
        created_at=at,
    )
