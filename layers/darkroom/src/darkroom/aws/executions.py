"""Step Functions: starting pipelines, and telling executions that their tasks are alive."""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from darkroom.pipelines import Pipeline

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_GONE = frozenset({"TaskTimedOut", "InvalidToken", "TaskDoesNotExist"})


class StepFunctionsExecutions:
    """An `Executions`: the state machine `pipeline`. Its input is the pipeline's key, not the document."""

    def __init__(self, client: "SFNClient", state_machine_arn: str) -> None:
        self._client = client
        self._arn = state_machine_arn

    def start(self, pipeline: Pipeline) -> str:
        """See `Executions.start`."""
        name = pipeline.execution_name
        run = {"owner": pipeline.owner, "id": pipeline.id, "run": pipeline.run}
        try:
            answer = self._client.start_execution(
                stateMachineArn=self._arn, name=name, input=json.dumps({"pipeline": run})
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ExecutionAlreadyExists":
                raise
            return f"{self._arn.replace(':stateMachine:', ':execution:')}:{name}"
        return answer["executionArn"]


class StepFunctionsBeats:
    """A `Beats`."""

    def __init__(self, client: "SFNClient") -> None:
        self._client = client

    def beat(self, token: str) -> bool:
        """See `Beats.beat`."""
        try:
            self._client.send_task_heartbeat(taskToken=token)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _GONE:
                raise
            return False
        return True
