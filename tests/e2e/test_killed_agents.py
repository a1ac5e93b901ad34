"""Real agents, killed in whatever they do, and messages that do harm: each task ends once, and is heard of once."""

import asyncio
import io

import pytest
from PIL import Image
from tests.e2e.faults import ToldRuntime, sample
from tests.e2e.pods import (
    PHASES,
    Pods,
    Standby,
    ends_once,
    queue_holds,
    queue_is_empty,
    submit_and_reach,
    submit_and_read,
)
from tests.e2e.users import User, eventually

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


async def test_an_agent_killed_while_it_reads_one_answer_and_the_next_job_runs_loses_neither_task(
    owner: User, pods: Pods, standby: Standby, task_id: str
) -> None:
    agent, _, ids = await submit_and_read(owner, pods, task_id)
    agent.kill()
    standby.gate.open()

    assert [(await ends_once(owner, id_))["attempt"] for id_ in ids] == [2, 2]

    assert sorted(standby.runtime.runs) == ids
    await queue_is_empty(owner)


async def test_a_workflow_whose_agent_was_killed_is_stopped_and_only_what_the_next_one_makes_counts(
    owner: User, pods: Pods, task_id: str
) -> None:
    comfyui = await pods.comfyui()
    agent = await pods.agent(comfyui, name="comfy")
    body = {"id": task_id, "runtime": "comfy", "type": "pipeline", "content": sample(steps=1000)}
    assert (await owner.call("POST", "/v1/tasks", body))[0] == 202
    first = await eventually(comfyui.running, "the workflow to run")
    agent.kill()
    await pods.agent(comfyui, name="comfy")

    async def next_one() -> str | None:
        running = await comfyui.running()
        return running if running != first else None

    second = await eventually(next_one, "the next attempt")
    comfyui.hurry()
    task = await ends_once(owner, task_id)

    assert task["attempt"] == 2
    assert await comfyui.history() == {first: "error", second: "success"}
    (image,) = task["images"]
    graph = Image.open(io.BytesIO(owner.image(image["uri"]))).info["prompt"]
    assert (second in graph, first in graph) == (True, False)
    await queue_is_empty(owner, "comfy")


async def test_messages_that_are_no_tasks_end_as_dead_letters_and_hold_up_nobody(
    owner: User, pods: Pods, task_id: str
) -> None:
    gate = await pods.gate()
    await pods.agent(await pods.runtime(), gate)
    queue, dead_letters = (owner.registered()[name] for name in ("queue_url", "dead_letter_queue_url"))
    malformed = ["rubbish", '["rubbish"]', '{"Records": [{"s3": {}}]}']
    for body in malformed:
        owner.send(queue, body)
    try:
        await owner.submit(task_id, prompt=task_id)
        await ends_once(owner, task_id)
        await queue_holds(owner, dead_letters, len(malformed))
    finally:
        owner.client("sqs").purge_queue(QueueUrl=dead_letters)

    await queue_is_empty(owner)
    assert gate.calls.count("DeleteMessage") == 1  # the task's own
    receives = sum("message_malformed" in line for _, line in pods.logs)
    assert receives == 5 * len(malformed)  # `MaxAttempts` of each


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
