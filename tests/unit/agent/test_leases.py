"""Keeping hold of a task, noticing that it is lost, and letting go."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from darkroom import tasks
from darkroom.models import now
from darkroom.tasks import Task, TaskError, TaskStatus
from darkroom_agent.aborts import Abort
from darkroom_agent.leases import Lease

MakeBench = Callable[..., Any]
MakeTask = Callable[..., Task]
Until = Callable[..., Awaitable[Any]]
OUTAGE = EndpointConnectionError(endpoint_url="https://aws")


@asynccontextmanager
async def held(bench: Any, make_task: MakeTask, **changes: Any) -> AsyncIterator[Lease]:
    """A lease on a fresh task, with its heartbeat."""
    bench.submit(make_task, **changes)
    delivery = await bench.intake.receive(0)
    lease = Lease(bench.custody, delivery, await bench.intake.claim(delivery))
    async with asyncio.TaskGroup() as group:
        lease.start(group)
        try:
            yield lease
        finally:
            lease._stop("released")


async def test_the_heartbeat_keeps_the_task_and_its_message(make_bench: MakeBench, make_task: MakeTask) -> None:
    bench = make_bench(lease=0.6)
    async with held(bench, make_task) as lease:
        lease.progress = 0.5
        await asyncio.sleep(1)
        task = bench.state(lease.task)
        assert (TaskStatus.RUNNING, 0.5, None) == (task.status, task.progress, lease.reason)
        assert task.lease_until > now()
        assert ("m0", 2) in bench.inbox.hidings  # 1.6 s, in whole seconds


async def test_progress_is_written_with_the_next_heartbeat(
    make_bench: MakeBench, make_task: MakeTask, until: Until
) -> None:
    bench = make_bench(lease=30)
    async with held(bench, make_task) as lease:
        lease.progress = 0.005  # too little to tell
        await asyncio.sleep(0.15)
        assert bench.state(lease.task).progress is None
        for progress in (0.02, 0.5):
            lease.progress = progress
            await until(lambda progress=progress: bench.state(lease.task).progress == progress)
        lease.preview = "s3://outputs/.previews/x.png"
        await until(lambda: bench.state(lease.task).preview == lease.preview)


@pytest.mark.parametrize(
    ("content", "written"),
    [({"prompt": "x" * 20_000}, False), ({"prompt": "x" * 10_000}, True), (None, True)],
)
async def test_the_progress_of_a_task_with_a_large_content_waits_for_the_lease(
    make_bench: MakeBench, make_task: MakeTask, content: Any, written: object
) -> None:
    bench = make_bench(lease=30)
    reference = {"content_ref": "s3://bucket/x"} if content is None else {}
    async with held(bench, make_task, content=content, **reference) as lease:
        lease.progress = 0.5
        await asyncio.sleep(0.3)
        assert written is (bench.state(lease.task).progress == 0.5)


async def test_a_task_whose_progress_is_written_often_keeps_its_message_hidden(
    make_bench: MakeBench, make_task: MakeTask
) -> None:
    bench = make_bench(lease=0.6)
    async with held(bench, make_task) as lease:
        for step in range(20):
            lease.progress = step / 20
            await asyncio.sleep(0.05)
        assert 3 <= len(bench.inbox.hidings) <= 6  # every 0.2 s


async def test_a_message_is_hidden_until_the_lease_is_over(make_bench: MakeBench, make_task: MakeTask) -> None:
    bench = make_bench(lease=6)
    async with held(bench, make_task) as lease:
        for step in range(8):
            lease.progress = step / 20  # which is written
            await asyncio.sleep(0.2)
            hidden = bench.inbox.messages["m0"].visible_at - time.monotonic()
            assert (bench.state(lease.task).lease_until - now()).total_seconds() < hidden
        assert [] == bench.inbox.hidings


async def test_most_heartbeats_only_look(
    make_bench: MakeBench, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(lease=30)
    async with held(bench, make_task):
        monkeypatch.setattr(bench.store, "apply", None)  # a write would fail
        await asyncio.sleep(0.3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: tasks.cancel(now()), Abort.CANCELLED),
        (lambda task: tasks.release(now(), task.attempt), Abort.NOT_RUNNING),
        (lambda _: tasks.claim(now() + timedelta(minutes=9), timedelta(minutes=1)), Abort.SUPERSEDED),
        (lambda task: tasks.fail(now(), task.attempt, TaskError(type="x", message="x")), Abort.ENDED),
        (lambda _: tasks.expire(now() + timedelta(hours=9)), Abort.EXPIRED),
    ],
)
async def test_a_task_that_is_no_longer_ours_is_noticed(
    bench: Any, make_task: MakeTask, change: Callable[[Task], tasks.Change], reason: Abort
) -> None:
    async with held(bench, make_task) as lease:
        bench.store.apply(lease.task.key, change(lease.task))
        async with asyncio.timeout(1):
            await lease.aborted.wait()
        assert reason is lease.reason
        await lease.abandon()
        assert reason.message_is_spent is (bench.inbox.messages == {})


async def test_a_task_that_is_gone_is_noticed(bench: Any, make_task: MakeTask) -> None:
    async with held(bench, make_task) as lease:
        bench.store._tasks.clear()
        async with asyncio.timeout(1):
            await lease.aborted.wait()
        assert Abort.UNKNOWN is lease.reason


async def test_the_deadline_ends_the_task(bench: Any, make_task: MakeTask) -> None:
    async with held(bench, make_task, expires_at=now() + timedelta(seconds=0.2)) as lease:
        async with asyncio.timeout(1):
            await lease.aborted.wait()
        assert (Abort.EXPIRED, TaskStatus.EXPIRED) == (lease.reason, bench.state(lease.task).status)


async def test_a_short_outage_loses_nothing(
    make_bench: MakeBench, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(lease=1)
    async with held(bench, make_task) as lease:
        outage_until = time.monotonic() + 0.6
        apply, get = bench.store.apply, bench.store.get

        def faulty(call: Callable[..., Any]) -> Callable[..., Any]:
            def ask(*arguments: Any) -> Any:
                if time.monotonic() < outage_until:
                    raise OUTAGE
                return call(*arguments)

            return ask

        monkeypatch.setattr(bench.store, "apply", faulty(apply))
        monkeypatch.setattr(bench.store, "get", faulty(get))
        await asyncio.sleep(1.2)
        assert lease.reason is None


@pytest.mark.parametrize("how", ["refuses the connection", "hangs"])
async def test_work_is_given_up_when_the_lease_cannot_be_renewed_in_time(
    make_bench: MakeBench, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    bench = make_bench(lease=0.4)

    def fail(*_: Any) -> None:
        if how == "hangs":
            time.sleep(1)
        raise OUTAGE

    async with held(bench, make_task) as lease:
        started = time.monotonic()
        for name in ("apply", "get"):
            monkeypatch.setattr(bench.store, name, fail)
        async with asyncio.timeout(2):
            await lease.aborted.wait()
        assert Abort.LAPSED is lease.reason
        assert time.monotonic() - started < 0.6
        await lease.abandon()
        assert 1 == len(bench.inbox.messages)


async def test_a_release_says_why_and_shows_the_message_again(bench: Any, make_task: MakeTask) -> None:
    async with held(bench, make_task) as lease:
        error = TaskError(type="x", message="y", retryable=True)
        await lease.release(error, 7)
        task = bench.state(lease.task)
        assert (TaskStatus.QUEUED, error, None) == (task.status, task.error, task.lease_until)
        assert ("m0", 7) == bench.inbox.hidings[-1]


async def test_a_release_of_a_cancelled_task_deletes_its_message(bench: Any, make_task: MakeTask) -> None:
    async with held(bench, make_task) as lease:
        bench.store.apply(lease.task.key, tasks.cancel(now()))
        await lease.release()
        assert {} == bench.inbox.messages


async def test_what_was_let_go_is_not_let_go_again(bench: Any, make_task: MakeTask) -> None:
    async with held(bench, make_task) as lease:
        await lease.release(None, 7)
        await lease.release(None, 0)
        assert [("m0", 7)] == bench.inbox.hidings


async def test_a_message_that_cannot_be_deleted_is_left_to_come_back(bench: Any, make_task: MakeTask) -> None:
    async with held(bench, make_task) as lease:
        bench.inbox.faults = [OUTAGE]
        await lease.finish("succeeded")
        assert 1 == len(bench.inbox.messages)


async def test_a_queue_that_hangs_costs_no_lease(
    make_bench: MakeBench, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(lease=0.6)
    monkeypatch.setattr(bench.inbox, "hide", lambda *_: time.sleep(0.5))
    async with held(bench, make_task) as lease:
        await asyncio.sleep(1.2)
        assert lease.reason is None
