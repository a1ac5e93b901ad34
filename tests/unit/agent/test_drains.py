"""When the agent stops: signals, notices, and runs that are longer than the grace."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from darkroom.tasks import Task, TaskStatus
from darkroom_agent import runs
from darkroom_agent.drains import Drain

MakeBench = Callable[..., Any]
MakeTask = Callable[..., Task]
Until = Callable[..., Awaitable[Any]]


async def test_a_notice_starts_a_drain_that_a_signal_does_not_cut_short() -> None:
    drain = Drain(60)
    drain.foresee("rebalance recommendation")
    assert (True, False, False) == (drain.draining.is_set(), drain.told.is_set(), drain.halted.is_set())
    drain.begin()
    assert (True, False) == (drain.told.is_set(), drain.halted.is_set())
    drain.begin()
    assert drain.halted.is_set()


async def test_the_grace_ends_when_the_machine_goes_whatever_was_granted() -> None:
    drain = Drain(3600)
    drain.foresee("rebalance recommendation")
    drain.foresee("spot interruption", 0.05)
    async with asyncio.timeout(1):
        await drain.halted.wait()


async def test_a_longer_notice_does_not_lengthen_a_shorter_grace() -> None:
    drain = Drain(5)
    drain.begin()
    drain.foresee("spot interruption", 110)
    left = drain.left()
    assert left is not None
    assert left <= 5


async def test_a_run_that_would_outlast_the_grace_is_given_back_at_once(
    bench: Any, make_task: MakeTask, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_FORESEE_EVERY", 0.02)
    task = bench.submit(make_task)
    bench.start()
    await until(lambda: bench.runtime.running)
    bench.pace._started -= 60  # after a minute it is at a half
    bench.runtime.at = 0.5
    await until(bench.pace.remaining)
    bench.drain.begin()
    async with asyncio.timeout(2):  # of a grace of five seconds
        await bench.work
    assert (TaskStatus.QUEUED, None) == (bench.state(task).status, bench.state(task).error)
    assert 0 == bench.inbox.hidings[-1][1]


async def test_a_run_that_ends_within_the_grace_is_finished(
    bench: Any, make_task: MakeTask, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_FORESEE_EVERY", 0.02)
    task = bench.submit(make_task)
    bench.start()
    await until(lambda: bench.runtime.running)
    bench.runtime.at = 0.9
    await until(bench.pace.remaining)
    bench.drain.begin()
    await asyncio.sleep(0.2)
    assert bench.runtime.running
    bench.runtime.go.set()
    await until(bench.work.done)
    assert TaskStatus.SUCCEEDED is bench.state(task).status
