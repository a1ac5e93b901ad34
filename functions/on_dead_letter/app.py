"""Ends the tasks whose messages no agent could finish."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from darkroom.aws.clients import client
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.aws.tracing import capture_sampled
from darkroom.messages import TaskMessage
from darkroom.models import now
from darkroom.outcomes import bury_dead_letter
from darkroom.settings import TableSettings

logger = Logger()
store = DynamoTaskStore(client("dynamodb"), TableSettings.from_environment().tasks_table)
processor = BatchProcessor(event_type=EventType.SQS)


@logger.inject_lambda_context(clear_state=True)
@capture_sampled
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """End the tasks of the batch.

    What is no task's message stays in the dead-letter queue, where its alarm tells an operator.
    """
    return process_partial_response(event, bury, processor, context)


def bury(record: SQSRecord) -> None:
    """End one task."""
    message = TaskMessage.from_json(record.body)
    logger.append_keys(task_id=message.metadata.id)
    task = bury_dead_letter(store, message, now())
    logger.warning(
        "dead_letter_buried" if task else "dead_letter_stale", extra={"runtime": message.metadata.runtime}
    )
