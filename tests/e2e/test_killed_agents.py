"""Real agents, killed in whatever they do: each task ends once, and its owner hears of it once."""

import asyncio

import pytest
from tests.e2e.faults import ToldRuntime
from tests.e2e.pods import PHASES, Pods, Standby, ends_once, queue_is_empty, submit_and_reach
from tests.e2e.users import User

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("phase", PHASES)
async def test_an_agent_killed_in_any_phase_loses_nothing(
    owner: User, pods: Pods, standby: Standby, task_id: str, phase: str
) -> None:
    agent, _, _ = await submit_and_reach(owner, pods, task_id, phase)
    agent.kill()
    standby.gate.open()

    await ends_once(owner, task_id)

    await queue_is_empty(owner)


async def test_a_message_that_kills_every_agent_ends_as_a_failed_task(
    owner: User, pods: Pods, task_id: str
) -> None:
    runtimes = [await pods.runtime(), await pods.runtime()]
    killed = 0

    async def kill(runtime: ToldRuntime) -> None:
        nonlocal killed
        while True:
            runtime.behaviours.append("wait")
            agent = await pods.agent(runtime)
            await runtime.running.wait()
            agent.kill()
            await agent.wait()
            killed += 1
            runtime.release.set()
            await runtime.idle.wait()

    # the other one waits for the message meanwhile: that it gets it in time, and no sooner, is what is tested
    killers = [asyncio.create_task(kill(runtime), name="killer") for runtime in runtimes]
    await owner.submit(task_id, prompt=task_id)
    try:
        task = await ends_once(owner, task_id, "failed")
    finally:
        for killer in killers:
            killer.cancel()
        await asyncio.gather(*killers, return_exceptions=True)

    assert task["error"]["type"] == "dead_letter"
    runs = [prompt for runtime in runtimes for prompt in runtime.runs]
    assert (5, 5, [task_id] * 5) == (killed, task["attempt"], runs)  # `MaxAttempts`: no reception came to nothing
