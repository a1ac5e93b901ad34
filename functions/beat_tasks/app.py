"""Tells waiting state machines that their tasks are alive, and cancels tasks that none waits for. Every minute."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from darkroom.aws.clients import client
from darkroom.aws.executions import StepFunctionsBeats
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.aws.task_tokens import waiting_tasks
from darkroom.aws.tracing import capture_sampled
from darkroom.heartbeats import beat_all
from darkroom.models import now
from darkroom.settings import TableSettings

logger = Logger()
table = TableSettings.from_environment().tasks_table
store = DynamoTaskStore(client("dynamodb"), table)
beats = StepFunctionsBeats(client("stepfunctions"))


@logger.inject_lambda_context(clear_state=True)
@capture_sampled
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Tell once."""
    del event, context
    made = beat_all(waiting_tasks(client("dynamodb"), table), beats, store, now())
    logger.info("tasks_beat", extra={"told": len(made.told), "orphans": made.orphans})
    return {"told": len(made.told), "orphans": len(made.orphans)}
