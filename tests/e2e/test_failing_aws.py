"""AWS out of order for a while, whatever the agent asks of it: each task ends once."""

import pytest
from tests.e2e.pods import Standby, ends_once, queue_is_empty
from tests.e2e.users import User, eventually

TRIES = 3
"""Of one call by botocore, before the agent hears of the fault."""

REQUESTS = {"PUT": 2 * TRIES + 1}
"""Of which one call has failed for good. Two files are put side by side, each once by object_store and then by
botocore: of seven requests, one file has had its four."""

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("fault", ["503", "throttled", "drop"])
@pytest.mark.parametrize(
    "operation",
    ["ReceiveMessage", "UpdateItem", "PUT", "SendMessage", "DeleteMessage", "ChangeMessageVisibility", "GetItem"],
)
async def test_an_aws_that_fails_for_a_while_loses_nothing(
    owner: User, standby: Standby, task_id: str, operation: str, fault: str
) -> None:
    gate, runtime = standby.gate, standby.runtime
    if operation in {"ChangeMessageVisibility", "GetItem"}:  # heartbeats' calls: the task takes some
        runtime.behaviours.append("wait")
    gate.fail(operation, fault)
    gate.open()
    await owner.submit(task_id, prompt=task_id)

    async def failed() -> bool | None:
        return gate.failed.count(operation) >= REQUESTS.get(operation, TRIES) or None

    await eventually(failed, "the fault to be met by the agent, not by botocore alone")
    gate.fail(operation, None)
    runtime.release.set()

    await ends_once(owner, task_id)

    await queue_is_empty(owner)
