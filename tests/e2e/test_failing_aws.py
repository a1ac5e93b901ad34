"""AWS out of order for a while, whatever the agent asks of it: each task ends once."""

import pytest
from tests.e2e.faults import Gate
from tests.e2e.pods import Pods, Standby, ends_once, put_input, queue_holds, queue_is_empty
from tests.e2e.users import User, eventually

from darkroom.submissions import INLINE_CONTENT

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

    await _fails(gate, operation, REQUESTS.get(operation, TRIES))
    runtime.release.set()

    await ends_once(owner, task_id)

    await queue_is_empty(owner)


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        pytest.param("UpdateItem", "silence", id="a claim that was made"),
        pytest.param("PUT", "silence", id="files that were stored"),
        pytest.param("SendMessage", "silence", id="a report that was sent"),
        pytest.param("SendMessage", "hang", id="a report that was not sent"),
    ],
)
async def test_an_aws_that_does_not_answer_for_a_while_has_no_work_done_twice(
    owner: User, standby: Standby, task_id: str, operation: str, fault: str
) -> None:
    standby.gate.fail(operation, fault)
    standby.gate.open()
    await owner.submit(task_id, prompt=task_id)
    await _fails(standby.gate, operation, 1)  # each further try would take the client's whole patience

    await queue_is_empty(owner)

    await queue_holds(owner, owner.agent_environment()["DARKROOM_RESULTS_QUEUE_URL"], 0)
    await ends_once(owner, task_id)
    assert standby.runtime.runs == [task_id]


async def test_an_input_in_an_s3_that_does_not_answer_is_asked_for_again(
    owner: User, pods: Pods, task_id: str
) -> None:
    runtime, gate = await pods.runtime(), await pods.gate()
    gate.fail("GET", "hang")
    await pods.agent(runtime, gate, input_timeout_seconds=1)
    await owner.submit(task_id, "image-to-image", prompt=task_id, init_images=[put_input(owner)])
    await _fails(gate, "GET", 1)

    task = await ends_once(owner, task_id)

    assert (task["attempt"], runtime.runs) == (1, [task_id])
    await queue_is_empty(owner)


@pytest.mark.parametrize("fault", ["503", "throttled"])
async def test_an_input_in_an_s3_that_fails_for_a_while_is_fetched_in_the_end(
    owner: User, standby: Standby, task_id: str, fault: str
) -> None:
    standby.gate.fail("GET", fault)
    standby.gate.open()
    await owner.submit(task_id, "image-to-image", prompt=task_id, init_images=[put_input(owner)])
    await _fails(standby.gate, "GET", TRIES)

    task = await ends_once(owner, task_id)

    assert (task["attempt"], standby.runtime.runs) == (1, [task_id])
    await queue_is_empty(owner)


@pytest.mark.parametrize("fault", ["503", "throttled"])
async def test_a_content_in_an_s3_that_fails_for_a_while_is_fetched_by_the_next_attempt(
    owner: User, standby: Standby, task_id: str, fault: str
) -> None:
    standby.gate.fail("GET", fault)
    standby.gate.open()
    await owner.submit(task_id, prompt=task_id, negative_prompt="x" * 2 * INLINE_CONTENT)
    await _fails(standby.gate, "GET", TRIES)

    task = await ends_once(owner, task_id)

    assert (task["attempt"], standby.runtime.runs) == (2, [task_id])
    await queue_is_empty(owner)


async def _fails(gate: Gate, operation: str, requests: int) -> None:
    """An operation fails for so many requests; then it works again."""

    async def failed() -> bool | None:
        return gate.failed.count(operation) >= requests or None

    await eventually(failed, "the fault to be met by the agent, not by botocore alone")
    gate.fail(operation, None)
