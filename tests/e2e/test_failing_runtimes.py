"""Agents that race, and runtimes that break, stall, or take too long: each task ends once."""

import asyncio
import os
import signal

import pytest
from tests.e2e.faults import answer
from tests.e2e.pods import Pods, Standby, asks_for_restart, ends_once, logged, queue_is_empty, submit_and_reach
from tests.e2e.users import User, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def test_one_message_delivered_twice_at_once_to_two_agents_runs_once(
    owner: User, pods: Pods, task_id: str
) -> None:
    runtimes = [await pods.runtime(), await pods.runtime()]
    gates = [await pods.gate(), await pods.gate()]
    holds = [gate.hold("UpdateItem") for gate in gates]
    for runtime, gate in zip(runtimes, gates, strict=True):
        await pods.agent(runtime, gate, lease_seconds=15)  # a busy machine must not make it lapse
    await owner.submit(task_id, prompt=task_id)
    message = await asyncio.to_thread(owner.message, task_id)
    owner.send(owner.registered()["agent"]["DARKROOM_QUEUE_URL"], message)
    await asyncio.wait_for(asyncio.gather(*(hold.reached.wait() for hold in holds)), 20)
    for hold in holds:
        hold.go.set()

    task = await ends_once(owner, task_id)

    assert task["attempt"] == 1
    assert sum(len(runtime.runs) for runtime in runtimes) == 1
    await queue_is_empty(owner)


async def test_a_result_that_comes_after_the_lease_was_lost_is_refused(
    owner: User, pods: Pods, standby: Standby, task_id: str
) -> None:
    agent, _, slow = await submit_and_reach(owner, pods, task_id, "running")
    os.kill(agent.pid, signal.SIGSTOP)  # it still works, as far as it knows
    standby.gate.open()
    task = await ends_once(owner, task_id)
    slow.release.set()
    os.kill(agent.pid, signal.SIGCONT)
    await eventually(lambda: logged(pods, "task_lost"), "the first agent to notice")

    later = await owner.task(task_id)
    signed = {"images", "output_download_url"}  # anew with each look
    assert {name: value for name, value in later.items() if name not in signed} == {
        name: value for name, value in task.items() if name not in signed
    }
    assert [image["uri"] for image in later["images"]] == [image["uri"] for image in task["images"]]
    assert (task["attempt"], standby.runtime.runs) == (2, [task_id])
    assert len((await owner.hears(task_id))[0]) == 1


async def test_a_runtime_that_answers_no_fails_the_task_with_its_reason(
    owner: User, standby: Standby, task_id: str
) -> None:
    standby.runtime.behaviours.append(answer(422, detail=[{"loc": ["body", "steps"], "msg": "too many"}]))
    standby.gate.open()
    await owner.submit(task_id, prompt=task_id)

    task = await ends_once(owner, task_id, "failed")

    assert task["error"]["type"] == "invalid_content"
    assert "steps" in task["error"]["message"]


async def test_a_runtime_that_breaks_with_500_fails_the_task(owner: User, standby: Standby, task_id: str) -> None:
    broken = answer(500, error="ValueError", detail="", errors="bad thing in /opt/secret/file.py")
    standby.runtime.behaviours.append(broken)
    standby.gate.open()
    await owner.submit(task_id, prompt=task_id)

    task = await ends_once(owner, task_id, "failed")

    assert task["error"]["type"] == "runtime_error"
    assert "/opt/secret" not in task["error"]["message"]


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(answer(500, error="OutOfMemoryError", errors="CUDA out of memory"), id="full GPU"),
        pytest.param(answer(503, detail="starting"), id="unavailable"),
        pytest.param("drop", id="lost connection"),
    ],
)
async def test_a_fault_that_may_pass_is_tried_again(
    owner: User, standby: Standby, task_id: str, behaviour: str
) -> None:
    runtime = standby.runtime
    runtime.behaviours.append(behaviour)
    standby.gate.open()
    await owner.submit(task_id, prompt=task_id)

    task = await ends_once(owner, task_id)

    assert (task["attempt"], runtime.runs) == (2, [task_id] * 2)


async def test_a_runtime_that_makes_no_progress_is_to_be_restarted_and_then_does_the_task(
    owner: User, pods: Pods, task_id: str, unused_tcp_port: int
) -> None:
    _, _, runtime = await submit_and_reach(
        owner, pods, task_id, "running", stall_seconds=1, health_port=unused_tcp_port
    )

    async def waits_for(what: str) -> bool | None:
        return what in (await asks_for_restart(unused_tcp_port) or "") or None

    # it stopped when told to, and calls itself ready: nothing says that it works again
    await eventually(lambda: waits_for("its restart"), "the liveness probe to ask for a restart")
    assert (runtime.runs, runtime.interrupted) == ([task_id], 1)
    await runtime.restart(eventually(lambda: waits_for("an answer"), "the agent to notice"))

    task = await ends_once(owner, task_id)

    assert (task["attempt"], runtime.runs) == (2, [task_id] * 2)
    assert await asks_for_restart(unused_tcp_port) is None


async def test_a_running_task_that_is_cancelled_is_interrupted_within_five_seconds(
    owner: User, pods: Pods, task_id: str
) -> None:
    _, _, runtime = await submit_and_reach(owner, pods, task_id, "running", heartbeat_seconds=4, lease_seconds=60)
    status, _, _ = await owner.call("POST", f"/v1/tasks/{task_id}/cancel")
    assert status == 200

    await asyncio.wait_for(runtime.release.wait(), 5)

    task = await ends_once(owner, task_id, "cancelled")
    assert task["images"] == []
    await queue_is_empty(owner)


async def test_a_run_beyond_its_limit_is_interrupted_and_fails_as_timeout(
    owner: User, pods: Pods, task_id: str
) -> None:
    _, _, runtime = await submit_and_reach(owner, pods, task_id, "running", run_timeout_seconds=1)

    task = await ends_once(owner, task_id, "failed")

    assert task["error"]["type"] == "timeout"
    assert runtime.interrupted == 1


async def test_a_new_task_starts_on_the_idle_agent_and_never_waits_behind_a_busy_one(
    owner: User, pods: Pods, task_id: str
) -> None:
    busy, idle = await pods.runtime(), await pods.runtime()
    busy.behaviours.append("wait")
    await pods.agent(busy, lease_seconds=60)
    await owner.submit(f"{task_id}-long", prompt="long")
    await asyncio.wait_for(busy.running.wait(), 20)
    await pods.agent(idle, lease_seconds=60)
    for number in range(5):
        await owner.submit(f"{task_id}-{number}", prompt=f"short {number}")
        await ends_once(owner, f"{task_id}-{number}")

    assert busy.runs == ["long"]
    assert idle.runs == [f"short {number}" for number in range(5)]
    busy.release.set()
    await ends_once(owner, f"{task_id}-long")
