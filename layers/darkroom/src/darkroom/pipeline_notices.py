"""Webhooks of pipelines: where a pipeline's owner wants to be told of its end, and what is posted there."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import Field

from darkroom.models import Model, Timestamp
from darkroom.notices import Notice
from darkroom.pipeline_events import PipelineEvent
from darkroom.pipelines import Pipeline, PipelineStatus
from darkroom.webhooks import PipelineWebhookEvent, SecretName, Url, Webhook

_EVENTS: Mapping[PipelineStatus, PipelineWebhookEvent] = {
    PipelineStatus.SUCCEEDED: "pipeline.succeeded",
    PipelineStatus.FAILED: "pipeline.failed",
    PipelineStatus.CANCELLED: "pipeline.cancelled",
}


class PipelineWebhook(Model):
    """Where to post a pipeline's end, and by which secret it is signed; see `Webhook`."""

    url: Url
    events: Annotated[tuple[PipelineWebhookEvent, ...], Field(min_length=1)] = tuple(_EVENTS.values())
    secret_ref: SecretName | None = None

    def target(self) -> Webhook:
        """The same place as a task's webhook has it, for the checks of addresses."""
        return Webhook(url=self.url, secret_ref=self.secret_ref)


class PipelineWebhookPayload(Model):
    """What is posted: `data` is what the event on the bus says."""

    type: PipelineWebhookEvent
    timestamp: Timestamp
    data: PipelineEvent


def pipeline_notice(pipeline: Pipeline, now: datetime) -> Notice | None:
    """The message that a pipeline's end calls for, or None where its owner did not ask for it."""
    event = _EVENTS.get(pipeline.status)
    webhook = None if pipeline.webhook is None else PipelineWebhook.model_validate(pipeline.webhook)
    if event is None or webhook is None or event not in webhook.events:
        return None
    said, at = PipelineEvent.of(pipeline), pipeline.finished_at or now
    return Notice(
        owner=pipeline.owner,
        task=pipeline.id,
        webhook_id=said.event_id,
        type=event,
        url=webhook.url,
        secret_ref=webhook.secret_ref,
        body=PipelineWebhookPayload(type=event, timestamp=at, data=said).to_json(),
        created_at=at,
    )
