"""AWS out of order for a while, whatever the agent asks of it: each task ends once."""

import asyncio

import pytest
from tests.e2e.pods import Pods, ends_once, queue_is_empty
from tests.e2e.users import User

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("fault", ["503", "throttled", "drop"])
@pytest.mark.parametrize(
    "operation",
    ["ReceiveMessage", "UpdateItem", "PUT", "SendMessage", "DeleteMessage", "ChangeMessageVisibility", "GetItem"],
)
async def test_an_aws_that_fails_for_a_while_loses_nothing(
    owner: User, pods: Pods, task_id: str, operation: str, fault: str
) -> None:
    runtime, gate = await pods.runtime(), await pods.gate()
    gate.fail(operation, fault)
    await pods.agent(runtime, gate)
    await owner.submit(task_id, prompt=task_id)
    await asyncio.sleep(1.5)  # the while
    gate.fail(operation, None)

    await ends_once(owner, task_id)

    await queue_is_empty(owner)
