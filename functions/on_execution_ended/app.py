"""Ends the pipelines and tasks of executions that were stopped or broke, so that nothing goes on without them."""

import json
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from darkroom.aws.blob_store import S3BlobStore
from darkroom.aws.clients import client
from darkroom.aws.pipeline_store import DynamoPipelineStore
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.aws.tracing import capture_sampled
from darkroom.models import now
from darkroom.pipeline_ends import PATIENCE, PipelineEnds
from darkroom.settings import PipelineEndSettings
from darkroom.task_calls import stop_call
from darkroom.task_starts import TaskStarts

logger = Logger()
settings = PipelineEndSettings.from_environment()
tasks = DynamoTaskStore(client("dynamodb"), settings.tasks_table)
starts = TaskStarts(tasks, S3BlobStore(client("s3")), settings.output_bucket)
ends = PipelineEnds(DynamoPipelineStore(client("dynamodb"), settings.pipelines_table), starts)


@logger.inject_lambda_context(clear_state=True)
@capture_sampled
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Handle one event "Step Functions Execution Status Change"."""
    del context
    detail = event["detail"]
    logger.append_keys(execution=detail["executionArn"])
    if detail["stateMachineArn"] == settings.run_task_arn:
        task = stop_call(starts, json.loads(detail.get("input") or "{}"), detail["name"], now(), PATIENCE)
        logger.info("task_stopped", extra={"task_id": task.id if task else None})
    else:
        key = ends.on_execution(detail, now())
        logger.info("execution_ended", extra={"status": detail["status"], "pipeline": str(key)})
