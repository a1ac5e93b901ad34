"""`make soak`: many tasks while agents are killed and AWS and runtimes fail, all at random from a seed.

Says the seed first; `--seed` replays a run's choices. Ends with an error unless each task ended once and its owner
heard of it once.
"""

import argparse
import asyncio
import random
import secrets
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tests.e2e.faults import Gate, ToldRuntime, answer
from tests.e2e.pods import Pods
from tests.e2e.users import ROOT, User

from darkroom.models import JsonObject
from darkroom_local.cloud import Plan, run_cloud

PODS = 3
AT_ONCE = 40
"""Tasks that wait or run at a time."""

FAULTS = ("503", "throttled", "drop")
OPERATIONS = (
    "ReceiveMessage",
    "UpdateItem",
    "GetItem",
    "PUT",
    "SendMessage",
    "DeleteMessage",
    "ChangeMessageVisibility",
)
ENDS = {"succeeded", "failed", "cancelled", "expired"}

JOBS = (
    *["work"] * 20,
    "drop",
    answer(500, error="OutOfMemoryError", errors="CUDA out of memory"),
    answer(500, error="RuntimeError", errors="a fault of the model"),
    answer(503, detail="busy"),
)
"""What a runtime may do with a job; most of the time it works."""


@dataclass
class Soak:
    """One run."""

    user: User
    pods: Pods
    dice: random.Random
    console: Console
    submitted: list[str] = field(default_factory=list)
    ended: dict[str, JsonObject] = field(default_factory=dict)
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    kills: int = 0
    faults: int = 0

    async def pod(self, number: int) -> None:
        """One pod: its agent is killed or told to end again and again, and started anew."""
        dice = random.Random(f"{self.dice.random()} {number}")  # noqa: S311  chaos, not cryptography
        runtime, gate = await self.pods.runtime(), await self.pods.gate()
        weather = asyncio.create_task(self._weather(runtime, gate, dice), name=f"weather {number}")
        try:
            while True:
                drain = dice.choice([0, 1, 20])
                agent = await self.pods.agent(runtime, gate, drain_seconds=drain)
                await asyncio.wait({asyncio.create_task(agent.wait())}, timeout=dice.uniform(1, 8))
                if agent.returncode is None:
                    self.kills += 1
                    agent.send_signal(dice.choice([signal.SIGKILL, signal.SIGTERM]))
                await agent.wait()
        finally:
            weather.cancel()

    async def _weather(self, runtime: ToldRuntime, gate: Gate, dice: random.Random) -> None:
        while True:
            runtime.behaviours += [dice.choice(JOBS) for _ in range(10 - len(runtime.behaviours))]
            operation = dice.choice(OPERATIONS)
            gate.fail(operation, dice.choice(FAULTS))
            self.faults += 1
            await asyncio.sleep(dice.uniform(0.05, 1))
            gate.fail(operation, None)
            await asyncio.sleep(dice.uniform(0.5, 3))

    async def submit(self, tasks: int) -> None:
        """Submit tasks, not too many at a time."""
        for number in range(tasks):
            await self.room.acquire()
            id_ = f"soak-{number}"
            await self.user.submit(id_, prompt=id_)
            self.submitted.append(id_)

    async def watch(self, tasks: int, progress: Progress) -> None:
        """Look after the tasks until all have ended."""
        bar = progress.add_task("ended", total=tasks)
        while len(self.ended) < tasks:
            for id_ in [id_ for id_ in self.submitted if id_ not in self.ended]:
                task = await self.user.task(id_)
                if task.get("status") in ENDS:
                    self.ended[id_] = task
                    self.room.release()
            progress.update(
                bar, completed=len(self.ended), description=f"ended; {self.kills} kills, {self.faults} faults"
            )
            await asyncio.to_thread(self.user.listeners.collect)
            await asyncio.sleep(0.5)

    async def problems(self) -> list[str]:
        """What is not as it must be."""
        heard = self.user.listeners
        until = time.monotonic() + 30
        while time.monotonic() < until and not all(
            heard.callbacks[id_] and heard.events[id_] for id_ in self.submitted
        ):
            await asyncio.to_thread(heard.collect)
        found = [
            f"{id_}: {len(heard.callbacks[id_])} callback messages, {len(heard.events[id_])} end events"
            for id_ in self.submitted
            if (len(heard.callbacks[id_]), len(heard.events[id_])) != (1, 1)
        ]
        for id_, task in self.ended.items():
            links = [image["uri"] for image in task["images"]]
            if [callback["image_url"] for callback in heard.callbacks[id_]] not in ([links], []):
                found.append(f"{id_}: the callback names other images than the task")
            if task["status"] == "succeeded" and not links:
                found.append(f"{id_}: succeeded without images")
        return found


async def soak(tasks: int, seed: str, console: Console) -> bool:
    """Run it; returns whether all is as it must be."""
    console.print(f"seed {seed}", highlight=False)
    parameters = {"RateLimit": "10000", "BurstLimit": "10000"}
    plan = Plan(ROOT / "sam" / "template.yaml", parameters=parameters, agents=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(run_cloud(plan, lambda _part, _line: None))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        user = User(cloud, session, [])
        run = Soak(user, Pods(user, stack, quiet=True), random.Random(seed), console)  # noqa: S311  likewise
        progress = stack.enter_context(Progress(*columns, console=console))
        background: list[asyncio.Task[Any]] = [
            asyncio.create_task(run.pod(number), name=f"pod {number}") for number in range(PODS)
        ]
        await asyncio.gather(run.submit(tasks), run.watch(tasks, progress))
        for pod in background:
            pod.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        problems = await run.problems()
    ends = {status: sum(task["status"] == status for task in run.ended.values()) for status in sorted(ENDS)}
    console.print(f"{ends}, {run.kills} agents ended, {run.faults} faults", highlight=False)
    for problem in problems:
        console.print(f"[red]{problem}[/]", highlight=False)
    return not problems


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1000, help="how many tasks (1000)")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="replay a run's choices")
    arguments = parser.parse_args()
    sys.exit(0 if asyncio.run(soak(arguments.tasks, arguments.seed, Console())) else 1)


if __name__ == "__main__":
    main()
