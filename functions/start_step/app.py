"""Starts tasks that a state machine waits for: the steps of pipelines, and single ones for `run_task`."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from darkroom.aws.measures import count_submitted
from darkroom.aws.pipelines import pipeline_states_on_aws
from darkroom.aws.tracing import capture_sampled
from darkroom.errors import RequestError
from darkroom.models import now
from darkroom.pipeline_states import ticket
from darkroom.settings import PipelineSettings

logger = Logger()
states, calls = pipeline_states_on_aws(PipelineSettings.from_environment())


@logger.inject_lambda_context(clear_state=True)
@capture_sampled
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do what one state asks for. The answer of a state that waits for a task goes nowhere."""
    del context
    if event["do"] != "start":
        logger.append_keys(execution=event["name"])
        try:
            answer = calls.handle(event, now())
        except RequestError as error:
            raise type(error)(error.whole) from error
        logger.info("task_called", extra={"do": event["do"], "answer": answer})
        return answer
    asked = ticket(event)
    logger.append_keys(pipeline_id=asked.key.id, step=asked.step)
    task = states.tasks.start(asked, now())
    logger.info("step_started", extra={"task_id": task.id, "index": asked.index, "try": asked.attempt})
    count_submitted(task)
    return {"id": task.id}
