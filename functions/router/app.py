"""Turns each change of the tasks table into the messages and events that it calls for."""

import json
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.idempotency.exceptions import BaseError
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from darkroom.aws.clients import client
from darkroom.aws.measures import measure_end
from darkroom.aws.once import TableOnce
from darkroom.aws.publishers import announcements_on_aws
from darkroom.aws.task_items import from_item
from darkroom.aws.tracing import capture_sampled
from darkroom.settings import RouterSettings

logger = Logger()
settings = RouterSettings.from_environment()
once = TableOnce(client("dynamodb"), settings.announcements_table)
announcements = announcements_on_aws(settings, once)
failures = client("sqs")
processor = BatchProcessor(event_type=EventType.DynamoDBStreams)


@logger.inject_lambda_context(clear_state=True)
@capture_sampled
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Tell every change in the batch; those that could not be told come again."""
    once.register(context)
    return process_partial_response(event, route, processor, context)


def route(record: DynamoDBRecord) -> None:
    """Tell one change. After a fault of AWS the record comes again; what no repetition mends is set aside."""
    try:
        tell(record.raw_event["dynamodb"])
    except (BotoCoreError, ClientError, BaseError):
        raise
    except Exception:
        logger.exception("change_set_aside")
        failures.send_message(QueueUrl=settings.failures_queue_url, MessageBody=json.dumps(record.raw_event))


def tell(images: dict[str, Any]) -> None:
    """Tell what changed between two images of an item."""
    if "NewImage" not in images:  # its time to live is over
        return
    old = from_item(images["OldImage"]) if "OldImage" in images else None
    task = from_item(images["NewImage"])
    logger.append_keys(task_id=task.id)
    change = announcements.tell(old, task)
    facts = {"status": task.status, "attempt": task.attempt, "dispatched": change.dispatch}
    logger.info("change_told", extra=facts)
    if change.ended:
        measure_end(task)
