"""Begins and ends a batch: reads its manifest, writes its results. The state machine `run_batch` calls it."""

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
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do what one state asks for."""
    del context
    logger.append_keys(batch_id=event["batch"]["id"], run=event["batch"]["run"])
    answer = plans.handle(event, now())
    logger.info("batch_planned", extra={"do": event["do"], "answer": answer})
    return answer
