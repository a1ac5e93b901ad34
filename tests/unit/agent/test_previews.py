"""What a running task shows."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from darkroom.tasks import Task
from darkroom_agent.faults import RuntimeLostError
from darkroom_agent.previews import Previews
from darkroom_agent.runtimes import Job, Outputs

MakeBench = Callable[..., Any]
MakeTask = Callable[..., Task]
Until = Callable[..., Awaitable[Any]]


def give_preview(bench: Any, *images: bytes | Exception | None) -> None:
    """Have the runtime show these images, one after the other; exceptions are raised."""
    shown = list(images)

    async def preview() -> bytes | None:
        image = shown.pop(0) if len(shown) > 1 else shown[0]
        if isinstance(image, Exception):
            raise image
        return image

    bench.runtime.preview = preview
    bench.runs._previews = Previews(bench.runtime, bench.blobs, bench.threads, "outputs", 0.02)


async def test_a_running_task_shows_what_it_has_so_far(
    bench: Any, make_task: MakeTask, until: Until, png: bytes
) -> None:
    give_preview(bench, None, b"\xff\xd8\xff\xe0 first", png)
    task = bench.submit(make_task)
    bench.start()
    link = await until(lambda: (p := bench.state(task).preview) and p.endswith(".png") and p)
    assert f"s3://outputs/.previews/{task.owner}/{task.id}.png" == link
    assert png == bench.blobs.files[link]


@pytest.mark.parametrize(
    "fault",
    [
        RuntimeLostError("runtime_lost", "busy"),
        EndpointConnectionError(endpoint_url="x"),
        TimeoutError(),
        ZeroDivisionError(),
    ],
)
async def test_a_preview_that_fails_changes_nothing_for_the_task(
    bench: Any, make_task: MakeTask, until: Until, fault: Exception
) -> None:
    give_preview(bench, fault)
    bench.submit(make_task)
    bench.start()
    await until(lambda: bench.runtime.running)
    await asyncio.sleep(0.1)
    bench.runtime.go.set()
    result = (await until(lambda: bench.results.sent))[0]
    assert "succeeded" == result.outcome


async def test_a_preview_that_failed_is_asked_for_again(
    bench: Any, make_task: MakeTask, until: Until, png: bytes
) -> None:
    give_preview(bench, RuntimeLostError("runtime_lost", "busy"), EndpointConnectionError(endpoint_url="x"), png)
    task = bench.submit(make_task)
    bench.start()
    assert await until(lambda: bench.state(task).preview)


async def test_a_preview_that_hangs_does_not_hold_up_the_run(bench: Any, make_task: MakeTask, until: Until) -> None:
    async def hang() -> bytes:
        await asyncio.sleep(60)
        return b""

    give_preview(bench, b"")
    bench.runtime.preview = hang
    bench.submit(make_task)
    bench.start()
    await until(lambda: bench.runtime.running)
    await asyncio.sleep(0.05)
    bench.runtime.go.set()
    await until(lambda: bench.results.sent, 2)


async def test_a_runtime_that_shows_nothing_is_not_asked(bench: Any) -> None:
    class Plain:
        async def run(self, _: Job) -> Outputs:
            return Outputs((), {})

    plain: Any = Plain()
    lease: Any = None  # which is not looked at
    async with asyncio.timeout(1):
        await Previews(plain, bench.blobs, bench.threads, "outputs", 0.01).follow(lease)
