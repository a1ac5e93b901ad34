"""Begins and ends a row of a batch. The state machine `run_batch` calls it."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from darkroom.aws.batches import batch_rows_on_aws
from darkroom.aws.tracing import capture_sampled
from darkroom.errors import BatchStoppedError, RowEndedError, RowFailedError
from darkroom.models import now
from darkroom.settings import BatchSettings

logger = Logger()
rows = batch_rows_on_aws(BatchSettings.from_environment())


@logger.inject_lambda_context(clear_state=True)
@capture_sampled
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do what one state asks for. The answer of a state that waits for a task goes nowhere."""
    del context
    logger.append_keys(batch_id=event["batch"]["id"], run=event["batch"]["run"], row=event["row"]["row"])
    try:
        answer = rows.handle(event, now())
    except (BatchStoppedError, RowEndedError, RowFailedError) as error:
        logger.info("row_not_done", extra={"do": event["do"], "reason": str(error)})
        raise
    logger.info("row_done", extra={"do": event["do"], "answer": answer})
    return answer
