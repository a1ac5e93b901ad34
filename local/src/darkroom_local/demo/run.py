"""Runs the demo: submit, watch, listen, download, and check that nothing is missing."""

import asyncio
import io
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.live import Live
from rich.text import Text

from darkroom.models import JsonObject
from darkroom.tasks import TaskStatus
from darkroom_local.cloud import LocalCloud, Plan, run_cloud
from darkroom_local.console import ConsoleLog
from darkroom_local.demo.api import Caller, Connect
from darkroom_local.demo.inputs import http_link, picture, put, web_server
from darkroom_local.demo.listeners import Listeners
from darkroom_local.demo.pipelines import RUNTIMES, PipelineDemo
from darkroom_local.demo.requests import DemoTask, demo_tasks
from darkroom_local.demo.show import outcome, progress_table, verdict

PATIENCE = 60.0
"""How long all tasks together may take, in seconds."""

EXAMPLES = Path("docs/examples/pipelines")
"""The pipelines' documents, in the repository that the template belongs to."""

_LOOK_EVERY = 0.4


@dataclass
class Demo:
    """One run of the demo."""

    cloud: LocalCloud
    caller: Caller
    listeners: Listeners
    tasks: tuple[DemoTask, ...]
    output: Path
    states: dict[str, JsonObject] = field(default_factory=dict)
    files: dict[str, list[Path]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    async def submit(self) -> None:
        """Post every request, and one without a key."""
        for task in self.tasks:
            status, answer = await self.caller.submit(task)
            if status != HTTPStatus.OK:
                self.problems.append(f"{task.id}: the API answered {status} {answer}")
        status, answer = await self.caller.submit(self.tasks[0], with_key=False)
        if status != HTTPStatus.UNAUTHORIZED:
            self.problems.append(f"a request without an API key was answered {status} {answer}, not 401")

    async def watch(self, live: Live) -> None:
        """Look at every task until all have ended and every listener has heard of it."""
        until = time.monotonic() + PATIENCE
        while not self._complete() and time.monotonic() < until:
            await asyncio.sleep(_LOOK_EVERY)
            for task in self.tasks:
                if not self._ended(task):
                    self.states[task.id] = await self.caller.look(task)
            await asyncio.to_thread(self.listeners.collect)
            live.update(progress_table(self.tasks, self.states))

    async def download(self) -> None:
        """Fetch the images of every task that succeeded."""
        for task in self.tasks:
            succeeded = self.states[task.id].get("status") == TaskStatus.SUCCEEDED
            self.files[task.id] = await self.caller.download(task.id, self.output) if succeeded else []

    def check(self) -> None:
        """Say what is missing or wrong."""
        for task in self.tasks:
            self.problems += [f"{task.id}: {problem}" for problem in self._problems(task)]

    def _problems(self, task: DemoTask) -> list[str]:
        state, callbacks, events = (
            self.states[task.id],
            self.listeners.callbacks[task.id],
            self.listeners.events[task.id],
        )
        error = (state.get("error") or {}).get("type")
        sizes = [Image.open(io.BytesIO(path.read_bytes())).size for path in self.files[task.id]]
        succeeds = task.ends is TaskStatus.SUCCEEDED
        facts = {
            f"ended as {state.get('status')}, not {task.ends}": state.get("status") == task.ends,
            f"failed with {error}, not {task.error}": error == task.error,
            f"{len(callbacks)} callback messages, not one": len(callbacks) == 1,
            "the callback message says otherwise": all(it["result"] is succeeds for it in callbacks),
            "the callback message names other images": all(
                [link.rpartition("/")[2] for link in it["image_url"]] == [path.name for path in self.files[task.id]]
                for it in callbacks
            ),
            f"{len(events)} end events, not one": len(events) == 1,
            "the event says otherwise": all(it["detail"]["status"] == task.ends for it in events),
            f"images of {sizes}, not one of {task.size}": sizes == ([task.size] if succeeds else []),
        }
        return [problem for problem, holds in facts.items() if not holds]

    def _ended(self, task: DemoTask) -> bool:
        status = self.states.get(task.id, {}).get("status")
        return status is not None and TaskStatus(status).ended

    def _complete(self) -> bool:
        heard = (self.listeners.callbacks, self.listeners.events)
        return all(self._ended(task) and all(task.id in told for told in heard) for task in self.tasks)


async def run_demo(template: Path, output: Path, console: Console, connect: Connect, *, verbose: bool) -> bool:
    """Run the demo on a local cloud of its own; returns whether nothing is missing.

    `connect` makes the client by which tasks are followed and images fetched.
    """
    started = time.monotonic()
    printed = ConsoleLog(console, "darkroom")
    kept: list[Text] = []

    def keep(part: str, line: str) -> None:
        text = printed.render(part, line)
        if text is not None:
            kept.append(text)

    async with AsyncExitStack() as stack:
        with console.status("starting the local cloud …"):
            plan = Plan(template, runtimes=RUNTIMES)
            cloud = await stack.enter_async_context(run_cloud(plan, printed if verbose else keep))
            demo = await _prepare(stack, cloud, connect, output)
        console.print(
            f"The local cloud runs ({time.monotonic() - started:.1f} s): {cloud.api_url}", highlight=False
        )
        await demo.submit()
        pipelines = PipelineDemo(demo.caller, template.parent / ".." / EXAMPLES, output)
        running = asyncio.create_task(pipelines.run(), name="pipelines")
        with Live(progress_table(demo.tasks, {}), console=console, transient=False) as live:
            await demo.watch(live)
        await demo.download()
        demo.check()
        demo.problems += await running
    console.print(pipelines.table())
    for task in demo.tasks:
        heard = demo.listeners.callbacks[task.id], demo.listeners.events[task.id]
        console.print(outcome(task, demo.states[task.id], *heard, demo.files[task.id]))
    if demo.problems and kept:
        console.print("[b]What the parts logged:[/]")
        console.print(Text("\n").join(kept), soft_wrap=True)
    verdict(console, demo.problems, time.monotonic() - started, output)
    return not demo.problems


async def _prepare(stack: AsyncExitStack, cloud: LocalCloud, connect: Connect, output: Path) -> Demo:
    png = picture()
    server = await stack.enter_async_context(web_server(png))
    caller = await stack.enter_async_context(Caller(cloud.api_url, cloud.api_key, connect))
    s3_link = await asyncio.to_thread(put, cloud.stack, png)
    listeners = await asyncio.to_thread(Listeners, cloud.stack)
    return Demo(cloud, caller, listeners, demo_tasks(http_link(server), s3_link), output)
