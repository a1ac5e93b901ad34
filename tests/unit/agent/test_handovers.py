"""The runtime is free before its answer is read: the next job runs meanwhile, and each comes to its own end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from darkroom import tasks
from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.models import now
from darkroom.tasks import Task, TaskStatus, TaskType
from darkroom_agent import runs as module
from darkroom_agent.faults import RuntimeLostError
from darkroom_agent.leases import Lease
from darkroom_agent.queues import Delivery
from darkroom_agent.runtimes import Job

MakeBench = Callable[..., Any]
MakeTask = Callable[..., Task]
Until = Callable[..., Awaitable[Any]]
JOB = Job(TaskType.TEXT_TO_IMAGE, {})


def lease_of(bench: Any, make_task: MakeTask) -> Lease:
    return Lease(bench.custody, Delivery("m", "", "r", 1), make_task())


async def test_the_next_task_runs_while_the_answer_of_the_last_one_is_read(
    bench: Any, make_task: MakeTask, until: Until
) -> None:
    bench.runtime.read = asyncio.Event()
    first = bench.submit(make_task, id="a")
    bench.submit(make_task, id="b")
    bench.runtime.go.set()
    bench.start()
    await until(lambda: len(bench.runtime.jobs) == 2)
    assert TaskStatus.RUNNING is bench.state(first).status
    bench.runtime.read.set()
    await until(lambda: len(bench.results.sent) == 2)
    assert {"succeeded"} == {result.outcome for result in bench.results.sent}


@pytest.mark.parametrize(
    ("error", "attempts", "outcome"),
    [
        (TaskFailedError("nan_image", "black"), 1, "failed"),
        (TaskInterruptedError("incomplete", "1 of 2 images"), 2, "succeeded"),
        (RuntimeLostError("runtime_lost", "gone"), 2, "succeeded"),
    ],
)
async def test_an_answer_that_cannot_be_used_ends_its_task_as_a_run_would(
    bench: Any, make_task: MakeTask, until: Until, error: Exception, attempts: int, outcome: str
) -> None:
    bench.runtime.read = asyncio.Event()
    bench.runtime.faults = [error]
    bench.runtime.go.set()
    task = bench.submit(make_task)
    bench.start()
    await until(lambda: bench.runtime.jobs and not bench.runtime.running)
    await asyncio.sleep(0.05)  # the worker waits for the next task
    if is_lost := isinstance(error, RuntimeLostError):
        bench.runtime.waits_for = "a new start"
    bench.runtime.read.set()
    if is_lost:
        await until(lambda: bench.health.waiting_for == "a new start")
        await asyncio.sleep(0.1)  # the message is there again
        bench.runtime.waits_for = None
        assert 1 == len(bench.runtime.jobs)
    (result,) = await until(lambda: bench.results.sent)
    assert (outcome, attempts, attempts) == (result.outcome, result.attempt, bench.state(task).attempt)


async def test_an_answer_that_is_lost_leaves_the_next_job_alone(
    bench: Any, make_task: MakeTask, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    async def ready() -> None:  # an adapter stops what runs: it may be an earlier agent's
        asked.append(bench.runtime.running)

    monkeypatch.setattr(bench.runtime, "ready", ready)
    bench.runtime.read = asyncio.Event()
    bench.runtime.go.set()
    first = bench.submit(make_task, id="a")
    bench.start()
    await until(lambda: bench.runtime.jobs and not bench.runtime.running)
    bench.runtime.go.clear()
    second = bench.submit(make_task, id="b")
    await until(lambda: bench.runtime.running)
    bench.runtime.faults = [RuntimeLostError("runtime_lost", "gone")]
    bench.runtime.read.set()
    await until(bench.readiness.lost.is_set)
    bench.pace.advance(0.999)  # the next one is due
    await asyncio.sleep(0.1)
    bench.runtime.go.set()
    await until(lambda: len(bench.results.sent) == 2)
    assert {False} == set(asked)
    assert (2, 1) == (bench.state(first).attempt, bench.state(second).attempt)


async def test_a_cancel_while_an_answer_is_read_leaves_the_runtime_alone(
    bench: Any, make_task: MakeTask, until: Until
) -> None:
    bench.runtime.read = asyncio.Event()
    bench.runtime.go.set()
    task = bench.submit(make_task)
    bench.start()
    await until(lambda: bench.runtime.jobs and not bench.runtime.running)
    bench.store.apply(task.key, tasks.cancel(now()))
    await until(lambda: not bench.inbox.messages)
    assert (0, {}, []) == (bench.runtime.interrupts, bench.blobs.files, bench.results.sent)


async def test_no_limit_of_the_run_holds_for_what_was_handed_over(
    make_bench: MakeBench, make_task: MakeTask
) -> None:
    bench = make_bench(whole_run=0.1, stall=0.1)
    bench.runtime.read = asyncio.Event()
    bench.runtime.go.set()
    run = await bench.runs.run(lease_of(bench, make_task), JOB)
    await asyncio.sleep(0.3)
    bench.runtime.read.set()
    assert 1 == len((await run).images)
    assert 0 == bench.runtime.interrupts


async def test_another_job_in_hand_is_sent_before_the_answer_is_read(
    bench: Any, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEAD_START", 0.2)
    bench.runtime.read = asyncio.Event()
    bench.runtime.read.set()
    bench.runtime.go.set()
    bench.pace.in_hand = True
    run = await bench.runs.run(lease_of(bench, make_task), JOB)
    bench.pace.in_hand = False
    other = await bench.runs.run(lease_of(bench, make_task), JOB)
    assert (await other).images
    assert not run.done()
    assert (await run).images
