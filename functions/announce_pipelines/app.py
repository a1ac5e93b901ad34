"""Turns each change of a pipeline into its event, and ends what an ended one left running."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from darkroom.aws.blob_store import S3BlobStore
from darkroom.aws.clients import client
from darkroom.aws.pipeline_store import DynamoPipelineStore, read_change
from darkroom.aws.publishers import EventBridgeBus, SqsWebhookQueue
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.aws.tracing import capture_sampled
from darkroom.models import now
from darkroom.pipeline_ends import PipelineEnds
from darkroom.pipeline_events import PipelineEvent, StepEvent, is_news
from darkroom.pipeline_notices import pipeline_notice
from darkroom.pipelines import Pipeline
from darkroom.settings import PipelineEndSettings
from darkroom.task_starts import TaskStarts

logger = Logger()
settings = PipelineEndSettings.from_environment()
tasks = DynamoTaskStore(client("dynamodb"), settings.tasks_table)
starts = TaskStarts(tasks, S3BlobStore(client("s3")), settings.output_bucket)
ends = PipelineEnds(DynamoPipelineStore(client("dynamodb"), settings.pipelines_table), starts)
bus = EventBridgeBus(client("events"), settings.event_bus)
webhooks = SqsWebhookQueue(client("sqs"), settings.webhooks_queue_url)
processor = BatchProcessor(event_type=EventType.DynamoDBStreams)


@logger.inject_lambda_context(clear_state=True)
@capture_sampled
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Tell every change in the batch; those that could not be told come again."""
    return process_partial_response(event, tell, processor, context)


def tell(record: DynamoDBRecord) -> None:
    """Tell one change."""
    images = record.raw_event["dynamodb"]
    if "NewImage" not in images:  # its time to live is over
        return
    key, new = read_change(images["NewImage"])
    old = read_change(images["OldImage"])[1] if "OldImage" in images else None
    logger.append_keys(pipeline_id=key.id)
    if new is None or not is_news(old, new):
        return
    if isinstance(new, Pipeline) and new.status.ended:
        cancelled = ends.clear(new, now())
        logger.info("pipeline_ended", extra={"status": new.status, "cancelled": [task.id for task in cancelled]})
        notice = pipeline_notice(new, now())
        if notice is not None:
            webhooks.send(notice)
    bus.put(PipelineEvent.of(new) if isinstance(new, Pipeline) else StepEvent.of(key, new))
