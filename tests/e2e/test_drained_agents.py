"""Real agents, told to end in whatever they do: nothing is lost, and nothing waits for a lease to run out."""

import asyncio
import signal

import pytest
from tests.e2e.pods import PHASES, Pods, Standby, ends_once, queue_is_empty, submit_and_reach
from tests.e2e.users import User

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
