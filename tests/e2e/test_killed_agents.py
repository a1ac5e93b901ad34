"""Real agents, killed in whatever they do: each task ends once, and its owner hears of it once."""

import asyncio

import pytest
from tests.e2e.pods import PHASES, Pods, ends_once, queue_is_empty, submit_and_reach
from tests.e2e.users import User

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("phase", PHASES)
async def test_an_agent_killed_in_any_phase_loses_nothing(
    owner: User, pods: Pods, task_id: str, phase: str
) -> None:
    agent, _, _ = await submit_and_reach(owner, pods, task_id, phase)
    agent.kill()
    await pods.agent(await pods.runtime())

    await ends_once(owner, task_id)

    await queue_is_empty(owner)


async def test_a_message_that_kills_every_agent_ends_as_a_failed_task(
    owner: User, pods: Pods, task_id: str
) -> None:
    runtime = await pods.runtime()
    runtime.behaviours += ["wait"] * 10
    await owner.submit(task_id, prompt=task_id)
    killed = 0

    async def kill() -> None:
        nonlocal killed
        while True:
            agent = await pods.agent(runtime, lease_seconds=1)
            await runtime.running.wait()
            agent.kill()
            await agent.wait()
            killed += 1
            runtime.release.set()
            await runtime.idle.wait()

    killer = asyncio.create_task(kill(), name="killer")
    try:
        task = await ends_once(owner, task_id, "failed")
    finally:
        killer.cancel()
        await asyncio.gather(killer, return_exceptions=True)

    assert task["error"]["type"] == "dead_letter"
    assert 2 <= killed <= 5  # a reception while the dead one's lease still holds counts too
