"""Ends the batches of executions that were stopped or broke, so that nothing of them goes on."""

import json
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from darkroom.aws.batches import batch_rows_on_aws
from darkroom.aws.tracing import capture_sampled
from darkroom.batch_plans import BatchPlans
from darkroom.models import now
from darkroom.settings import BatchSettings

logger = Logger()
plans = BatchPlans(batch_rows_on_aws(BatchSettings.from_environment()))


@logger.inject_lambda_context(clear_state=True)
@capture_sampled
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Handle one event "Step Functions Execution Status Change"."""
    del context
    detail = event["detail"]
    logger.append_keys(execution=detail["executionArn"])
    key = plans.on_execution(detail, json.loads(detail["input"]), now())
    logger.info("execution_ended", extra={"status": detail["status"], "batch": str(key)})
