"""Webhooks of batches: where a batch's owner wants to be told of its end, and what is posted there."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from darkroom.batch_events import BatchEvent
from darkroom.batches import Batch, BatchStatus
from darkroom.models import Model, Timestamp
from darkroom.notices import Notice
from darkroom.webhooks import BatchWebhookEvent, SecretName, Url, Webhook

_EVENTS: Mapping[BatchStatus, BatchWebhookEvent] = {
    BatchStatus.SUCCEEDED: "batch.succeeded",
    BatchStatus.FAILED: "batch.failed",
    BatchStatus.CANCELLED: "batch.cancelled",
}


def _check_events(events: tuple[BatchWebhookEvent, ...]) -> tuple[BatchWebhookEvent, ...]:
    """Not `min_length`: that would count an unknown event as a missing one, too."""
    if not events:
        raise ValueError("a webhook names at least one event")
    return events


class BatchWebhook(Model):
    """Where to post a batch's end, and by which secret it is signed; see `Webhook`."""

    url: Url
    events: Annotated[
        tuple[BatchWebhookEvent, ...], AfterValidator(_check_events), Field(json_schema_extra={"minItems": 1})
    ] = tuple(_EVENTS.values())
    secret_ref: SecretName | None = None

    def target(self) -> Webhook:
        """The same place as a task's webhook has it, for the checks of addresses."""
        return Webhook(url=self.url, secret_ref=self.secret_ref)


class BatchWebhookPayload(Model):
    """What is posted: `data` is what the event on the bus says."""

    type: BatchWebhookEvent
    timestamp: Timestamp
    data: BatchEvent


def batch_notice(batch: Batch, now: datetime) -> Notice | None:
    """The message that a batch's end calls for, or None where its owner did not ask for it."""
    event = _EVENTS.get(batch.status)
    webhook = None if batch.webhook is None else BatchWebhook.model_validate(batch.webhook)
    if event is None or webhook is None or event not in webhook.events:
        return None
    said, at = BatchEvent.of(batch), batch.finished_at or now
    return Notice(
        owner=batch.owner,
        task=batch.id,
        webhook_id=said.event_id,
        type=event,
        url=webhook.url,
        secret_ref=webhook.secret_ref,
        body=BatchWebhookPayload(type=event, timestamp=at, data=said).to_json(),
        created_at=at,
    )
