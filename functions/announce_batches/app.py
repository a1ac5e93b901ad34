"""Turns each beginning and end of a batch into its event, and its end into its webhook."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from darkroom.aws.batch_store import read_batch_change
from darkroom.aws.clients import client
from darkroom.aws.publishers import EventBridgeBus, SqsWebhookQueue
from darkroom.aws.tracing import capture_sampled
from darkroom.batch_events import BatchEvent, is_news
from darkroom.batch_notices import batch_notice
from darkroom.models import now
from darkroom.settings import BatchAnnouncementSettings

logger = Logger()
settings = BatchAnnouncementSettings.from_environment()
bus = EventBridgeBus(client("events"), settings.event_bus)
webhooks = SqsWebhookQueue(client("sqs"), settings.webhooks_queue_url)
processor = BatchProcessor(event_type=EventType.DynamoDBStreams)


@logger.inject_lambda_context(clear_state=True)
@capture_sampled
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Tell every change of the records; those that could not be told come again."""
    return process_partial_response(event, tell, processor, context)


def tell(record: DynamoDBRecord) -> None:
    """Tell one change. Whoever ended a batch has cleared up after it."""
    images = record.raw_event["dynamodb"]
    if "NewImage" not in images:  # its time to live is over
        return
    new = read_batch_change(images["NewImage"])
    old = read_batch_change(images["OldImage"]) if "OldImage" in images else None
    if is_news(old, new):
        notice = batch_notice(new, now())
        if notice is not None:
            webhooks.send(notice)
        bus.put(BatchEvent.of(new))
        logger.info("batch_told", extra={"batch_id": new.id, "status": new.status})
