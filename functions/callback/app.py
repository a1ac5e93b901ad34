"""Ends tasks with what their agents report."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from darkroom.aws.clients import client
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.aws.tracing import capture_sampled
from darkroom.messages import TaskResult
from darkroom.models import now
from darkroom.outcomes import record_result
from darkroom.settings import TableSettings

logger = Logger()
store = DynamoTaskStore(client("dynamodb"), TableSettings.from_environment().tasks_table)
processor = BatchProcessor(event_type=EventType.SQS)


@logger.inject_lambda_context(clear_state=True)
@capture_sampled
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Record every result in the batch; those that could not be recorded come again."""
    return process_partial_response(event, end, processor, context)


def end(record: SQSRecord) -> None:
    """Record one result."""
    result = TaskResult.from_json(record.body)
    logger.append_keys(task_id=result.id)
    task = record_result(store, result, now())
    logger.info("result_recorded" if task else "result_refused", extra=result.model_dump(mode="json"))
