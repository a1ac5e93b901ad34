"""Ends tasks whose deadline has passed and finds those that got lost. Runs every minute."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from darkroom.aws.clients import client
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.aws.tracing import capture_sampled
from darkroom.models import now
from darkroom.outcomes import sweep
from darkroom.settings import SweepSettings

logger = Logger()
settings = SweepSettings.from_environment()
store = DynamoTaskStore(client("dynamodb"), settings.tasks_table)


@logger.inject_lambda_context(clear_state=True)
@capture_sampled
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Sweep the table once."""
    del event, context
    expired, requeued = sweep(store, now(), settings.lapse)
    for task in expired:
        logger.info("task_expired", extra={"task_id": task.id})
    for task in requeued:
        logger.warning("task_requeued", extra={"task_id": task.id, "attempt": task.attempt})
    return {"expired": len(expired), "requeued": len(requeued)}
