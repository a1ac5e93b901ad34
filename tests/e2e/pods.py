"""Agents beside runtimes, started and ended as a test wants."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
from tests.e2e.faults import Gate, Hold, SlowComfyUi, ToldRuntime, png
from tests.e2e.users import User, eventually

from darkroom.models import JsonObject
from darkroom_local.children import Program, running
from darkroom_local.processes import Process

LEASE = 2
"""Seconds: short, so that a dead agent's task is soon taken over."""


class Pods:
    """Starts agents, each beside a runtime, on a cloud that has none of its own."""

    def __init__(self, user: User, stack: AsyncExitStack, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._user = user
        self._stack = stack
        self.logs: list[tuple[str, str]] = []

    async def runtime(self) -> ToldRuntime:
        """A runtime that does as it is told."""
        return await self._stack.enter_async_context(ToldRuntime())

    async def comfyui(self) -> SlowComfyUi:
        """A ComfyUI that takes its time."""
        return await self._stack.enter_async_context(SlowComfyUi())

    async def gate(self) -> Gate:
        """A gate before AWS."""
        return await self._stack.enter_async_context(Gate(self._user.cloud.stack.endpoint_url))

    async def agent(
        self, runtime: ToldRuntime | SlowComfyUi, gate: Gate | None = None, name: str = "sdruntime", **settings: Any
    ) -> Process:
        """Start an agent of the runtime that is registered by the name; `settings` are variables without prefix."""
        usual = {"lease_seconds": LEASE, "heartbeat_seconds": 0.3, "drain_seconds": 20}
        changes = usual | settings | {"runtime_url": runtime.server.url}
        environment = {f"DARKROOM_{name.upper()}": str(value) for name, value in changes.items()}
        environment = self._user.agent_environment(name) | environment
        if gate is not None:
            environment["AWS_ENDPOINT_URL"] = gate.url
        program = Program("agent", "darkroom_agent", environment=environment, grace=1)
        return await self._stack.enter_async_context(running(program, self._log))

    async def standby(self) -> "Standby":
        """An agent that is there already, and gets no message until it is its turn."""
        standby = Standby(await self.runtime(), await self.gate())
        await self.agent(standby.runtime, standby.gate)
        await standby.rest()
        return standby

    def _log(self, part: str, line: str) -> None:
        if not self._quiet:
            self.logs.append((part, line))
            print(line)  # pytest shows it where a test fails


@dataclass(frozen=True)
class Standby:
    """An agent that many tests use one after another: to start one takes most of what a test of one costs."""

    runtime: ToldRuntime
    gate: Gate

    async def rest(self) -> None:
        """Get no messages before the gate is opened again, and forget what there was to be told."""
        await self.gate.close()
        self.gate.failed.clear()
        self.runtime.runs.clear()


async def ends_once(owner: User, id_: str, status: str = "succeeded") -> JsonObject:
    """The task, which ended so; its callback and its event came once, and its outputs are there."""
    callbacks, events = await owner.hears(id_)
    task = await owner.task(id_)
    assert task["status"] == status, task
    assert [event["detail"]["status"] for event in events] == [status]
    assert [callback["result"] for callback in callbacks] == [status == "succeeded"]
    assert callbacks[0]["image_url"] == [image["uri"] for image in task["images"]]
    for link in callbacks[0]["image_url"]:
        assert owner.image(link)
    return task


async def queue_is_empty(owner: User, name: str = "sdruntime") -> None:
    """No message of a runtime's tasks is left, visible or not."""
    await queue_holds(owner, owner.registered(name)["queue_url"], 0)


async def queue_holds(owner: User, url: str, wanted: int) -> None:
    """There come to be so many messages, visible or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    async def look() -> bool | None:
        counts = owner.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(map(int, counts["Attributes"].values())) == wanted or None

    await eventually(look, f"a queue of {wanted} messages")


PHASES: Mapping[str, Any] = {
    "received": lambda gate: gate.hold("ReceiveMessage", after=True),
    "claiming": lambda gate: gate.hold("UpdateItem"),
    "claimed": lambda gate: gate.hold("UpdateItem", after=True),
    "downloading": lambda gate: gate.hold("GET"),
    "running": None,
    "uploading": lambda gate: gate.hold("PUT"),
    "uploaded": lambda gate: gate.hold("PUT", after=True),
    "reporting": lambda gate: gate.hold("SendMessage"),
    "reported": lambda gate: gate.hold("SendMessage", after=True),
    "before-delete": lambda gate: gate.hold("DeleteMessage"),
}


def put_input(owner: User) -> str:
    """A link to a picture that tasks may begin with."""
    bucket = owner.cloud.stack.outputs["OutputS3Bucket"]
    owner.client("s3").put_object(Bucket=bucket, Key="inputs/chaos.png", Body=png())
    return f"s3://{bucket}/inputs/chaos.png"


async def submit_and_reach(
    owner: User, pods: Pods, id_: str, phase: str, **settings: Any
) -> tuple[Any, Hold | None, ToldRuntime]:
    """A task whose agent has come to a phase and stands there."""
    runtime, gate = await pods.runtime(), await pods.gate()
    hold = PHASES[phase](gate) if PHASES[phase] else None
    if phase == "running":
        runtime.behaviours.append("wait")
    agent = await pods.agent(runtime, gate, **settings)
    content: dict[str, Any] = {"prompt": id_}
    if phase == "downloading":
        await owner.submit(id_, "image-to-image", init_images=[put_input(owner)], **content)
    else:
        await owner.submit(id_, **content)
    await asyncio.wait_for((hold.reached if hold else runtime.running).wait(), 20)
    return agent, hold, runtime


async def submit_and_read(
    owner: User, pods: Pods, id_: str, **settings: Any
) -> tuple[Process, ToldRuntime, list[str]]:
    """Two tasks: their agent reads what came of the first while its runtime works on the second."""
    runtime, ids = await pods.runtime(), [f"{id_}-read", f"{id_}-running"]
    runtime.behaviours += ["dawdle", "wait"]
    agent = await pods.agent(runtime, **settings)
    for task, reached in zip(ids, [runtime.answering, runtime.running], strict=True):
        await owner.submit(task, prompt=task)
        await asyncio.wait_for(reached.wait(), 20)
    return agent, runtime, ids


async def asks_for_restart(port: int) -> str | None:
    """What the agent says that it waits for, once its liveness probe fails."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/healthz") as answer:
        return str((await answer.json())["waiting_for"]) if answer.status == 503 else None


async def logged(pods: Pods, event: str) -> bool | None:
    return any(event in line for _, line in pods.logs) or None
