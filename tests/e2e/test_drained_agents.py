"""Real agents, told to end in whatever they do: nothing is lost, and nothing waits for a lease to run out."""

import asyncio
import signal

import pytest
from tests.e2e.pods import (
    PHASES,
    Pods,
    Standby,
    ends_once,
    logged,
    queue_is_empty,
    submit_and_reach,
    submit_and_read,
)
from tests.e2e.users import User, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("phase", PHASES)
async def test_an_agent_told_to_end_with_time_enough_finishes_its_task(
    owner: User, pods: Pods, standby: Standby, task_id: str, phase: str
) -> None:
    agent, hold, runtime = await submit_and_reach(owner, pods, task_id, phase)
    agent.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.2)  # the signal comes first
    (hold.go if hold else runtime.release).set()
    assert await asyncio.wait_for(agent.wait(), 15) == 0
    standby.gate.open()

    await ends_once(owner, task_id)

    await queue_is_empty(owner)


@pytest.mark.parametrize("phase", PHASES)
async def test_an_agent_told_to_end_at_once_hands_its_task_to_the_next(
    owner: User, pods: Pods, standby: Standby, task_id: str, phase: str
) -> None:
    agent, hold, _ = await submit_and_reach(owner, pods, task_id, phase, drain_seconds=0, lease_seconds=30)
    agent.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.2)
    if hold:
        hold.go.set()
    assert await asyncio.wait_for(agent.wait(), 20) == 0
    standby.gate.open()

    await asyncio.wait_for(ends_once(owner, task_id), 15)  # long before the lease is over

    await queue_is_empty(owner)


async def test_an_agent_told_to_end_with_time_enough_reads_one_answer_and_finishes_the_task_after_it(
    owner: User, pods: Pods, task_id: str
) -> None:
    agent, runtime, ids = await submit_and_read(owner, pods, task_id)
    agent.send_signal(signal.SIGTERM)
    await eventually(lambda: logged(pods, "drain_started"), "the drain")
    runtime.rest.set()
    runtime.release.set()
    assert await asyncio.wait_for(agent.wait(), 15) == 0

    assert [(await ends_once(owner, id_))["attempt"] for id_ in ids] == [1, 1]

    assert runtime.interrupted == 0
    await queue_is_empty(owner)


async def test_an_agent_told_to_end_at_once_hands_on_the_task_that_it_reads_and_the_one_that_runs(
    owner: User, pods: Pods, standby: Standby, task_id: str
) -> None:
    agent, _, ids = await submit_and_read(owner, pods, task_id, drain_seconds=0, lease_seconds=30)
    agent.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(agent.wait(), 20) == 0
    standby.gate.open()

    async with asyncio.timeout(15):  # long before the leases are over
        assert [(await ends_once(owner, id_))["attempt"] for id_ in ids] == [2, 2]

    assert sorted(standby.runtime.runs) == ids
    await queue_is_empty(owner)
