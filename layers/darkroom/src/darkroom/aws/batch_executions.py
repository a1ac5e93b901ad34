"""Step Functions: the executions that run batches, and how far they are."""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from darkroom.batches import Batch, Counts

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_UNKNOWN = "ExecutionDoesNotExist"


class StepFunctionsBatchExecutions:
    """A `BatchExecutions`: the state machine `run_batch`. Its input is the batch's key."""

    def __init__(self, client: "SFNClient", state_machine_arn: str) -> None:
        self._client = client
        self._arn = state_machine_arn

    def start(self, batch: Batch) -> str:
        """See `BatchExecutions.start`."""
        run = {"owner": batch.owner, "id": batch.id, "run": batch.run}
        try:
            answer = self._client.start_execution(
                stateMachineArn=self._arn, name=batch.execution_name, input=json.dumps({"batch": run})
            )
        except ClientError as error:
            if _code(error) != "ExecutionAlreadyExists":
                raise
            return self._execution(batch)
        return answer["executionArn"]

    def stop(self, batch: Batch, error: str, cause: str) -> None:
        """See `BatchExecutions.stop`."""
        try:
            self._client.stop_execution(executionArn=self._execution(batch), error=error, cause=cause)
        except ClientError as refused:
            if _code(refused) != _UNKNOWN:
                raise

    def counts(self, batch: Batch) -> Counts:
        """See `BatchExecutions.counts`. Rows are the items of one map run, which begins with the first."""
        try:
            runs = self._client.list_map_runs(executionArn=self._execution(batch), maxResults=1)["mapRuns"]
        except ClientError as error:
            if _code(error) != _UNKNOWN:
                raise
            runs = []
        if not runs:
            return Counts()
        items = self._client.describe_map_run(mapRunArn=runs[0]["mapRunArn"])["itemCounts"]
        return Counts(
            running=items["running"],
            succeeded=items["succeeded"],
            failed=items["failed"] + items["timedOut"],
            cancelled=items["aborted"],
        )

    def _execution(self, batch: Batch) -> str:
        return f"{self._arn.replace(':stateMachine:', ':execution:')}:{batch.execution_name}"


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
