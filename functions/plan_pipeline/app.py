"""Decides what a pipeline does next. The state machine `pipeline` calls it."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from darkroom.aws.pipelines import pipeline_states_on_aws
from darkroom.aws.tracing import capture_sampled
from darkroom.errors import PipelineStoppedError, RequestError
from darkroom.models import now
from darkroom.settings import PipelineSettings

logger = Logger()
states, _ = pipeline_states_on_aws(PipelineSettings.from_environment())


@logger.inject_lambda_context(clear_state=True)
@capture_sampled
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do what one state asks for."""
    del context
    named = event.get("pipeline") or {}
    logger.append_keys(pipeline_id=named.get("id", event.get("name")), step=event.get("step"))
    try:
        answer = states.handle(event, now())
    except PipelineStoppedError:
        logger.info("pipeline_stopped", extra={"do": event["do"]})
        raise
    except RequestError as error:
        raise type(error)(error.whole) from error
    logger.info("pipeline_planned", extra={"do": event["do"], "answer": answer})
    return answer
