"""What becomes of a message: claimed, deleted, put back, or left to the queue."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from darkroom import tasks
from darkroom.models import now
from darkroom.tasks import Task, TaskStatus

MakeTask = Callable[..., Task]
Until = Callable[..., Awaitable[Any]]


async def take(bench: Any) -> Task | None:
    """Receive the message that waits, and claim what it brings."""
    delivery = await bench.intake.receive(0)
    assert delivery is not None
    task: Task | None = await bench.intake.claim(delivery)
    return task


async def test_a_claim_takes_the_task_for_the_lease_and_its_message_is_seen_after_it(
    bench: Any, make_task: MakeTask
) -> None:
    bench.submit(make_task)
    delivery = await bench.intake.receive(0)
    late = replace(delivery, received=delivery.received - 0.5)  # the claim came half a second after
    task = await bench.intake.claim(late)
    assert (TaskStatus.RUNNING, 1) == (task.status, task.attempt)
    assert timedelta(seconds=1.3) < task.lease_until - now() <= timedelta(seconds=1.5)
    assert 2.9 < bench.inbox.messages["m0"].visible_at - time.monotonic() <= 3


async def test_a_message_that_lay_too_long_is_left_to_others(bench: Any, make_task: MakeTask) -> None:
    task = bench.submit(make_task)
    delivery = await bench.intake.receive(0)
    assert await bench.intake.claim(replace(delivery, received=delivery.received - 2)) is None
    assert (TaskStatus.QUEUED, []) == (bench.state(task).status, bench.inbox.hidings)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: tasks.cancel(now()), "cancelled while it waited"),
        (lambda _: tasks.bury(now(), tasks.TaskError(type="x", message="x")), "ended otherwise"),
    ],
)
async def test_the_message_of_an_ended_task_is_deleted(
    bench: Any, make_task: MakeTask, change: Callable[[Task], tasks.Change], reason: str
) -> None:
    task = bench.submit(make_task)
    bench.store.apply(task.key, change(task))
    assert await take(bench) is None
    assert {} == bench.inbox.messages, reason


async def test_the_message_of_a_task_that_is_unknown_is_deleted(bench: Any, make_task: MakeTask) -> None:
    bench.submit(make_task)
    bench.store._tasks.clear()
    assert await take(bench) is None
    assert {} == bench.inbox.messages


async def test_the_message_of_an_earlier_submission_is_deleted(bench: Any, make_task: MakeTask) -> None:
    task = bench.submit(make_task)
    bench.store.apply(task.key, tasks.cancel(now()))
    again = task.model_copy(update={"created_at": task.created_at + timedelta(seconds=1)})
    bench.store.submit(again)
    assert await take(bench) is None
    assert {} == bench.inbox.messages
    assert TaskStatus.QUEUED is bench.state(task).status


async def test_a_task_past_its_deadline_expires_and_its_message_is_deleted(bench: Any, make_task: MakeTask) -> None:
    task = bench.submit(make_task, expires_at=now() - timedelta(seconds=1))
    assert await take(bench) is None
    assert (TaskStatus.EXPIRED, {}) == (bench.state(task).status, bench.inbox.messages)


@pytest.mark.parametrize(("receives", "expected"), [(1, range(28, 31)), (2, range(56, 61)), (9, range(300, 301))])
async def test_the_message_of_a_task_held_elsewhere_comes_back_after_its_lease(
    bench: Any, make_task: MakeTask, receives: int, expected: range
) -> None:
    task = bench.submit(make_task)
    bench.store.apply(task.key, tasks.claim(now(), timedelta(seconds=30)))
    bench.inbox.messages["m0"].receives = receives - 1
    assert await take(bench) is None
    ((_, seconds),) = bench.inbox.hidings
    assert seconds in expected


async def test_a_copy_whose_task_is_held_elsewhere_is_deleted_when_it_comes_first(
    bench: Any, make_task: MakeTask
) -> None:
    task = bench.submit(make_task)
    bench.store.apply(task.key, tasks.claim(now(), timedelta(seconds=30)))
    delivery = replace(await bench.intake.receive(0), is_copy=True)
    assert await bench.intake.claim(delivery) is None
    assert {} == bench.inbox.messages


async def test_a_copy_that_comes_again_may_be_all_that_is_left_and_is_kept(bench: Any, make_task: MakeTask) -> None:
    task = bench.submit(make_task)
    bench.store.apply(task.key, tasks.claim(now(), timedelta(seconds=30)))
    delivery = replace(await bench.intake.receive(0), is_copy=True, receives=2)
    assert await bench.intake.claim(delivery) is None
    assert 1 == len(bench.inbox.messages)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "no JSON"),
        ("{}", "nothing in it"),
        ('{"metadata": {"id": "x"}, "content": {}}', "fields are missing"),
        (None, "another runtime's"),
    ],
)
async def test_a_message_that_is_not_ours_is_left_to_the_redrive_policy(
    bench: Any, make_task: MakeTask, body: str | None, reason: str
) -> None:
    if body is None:
        bench.submit(make_task, runtime="other")
    else:
        bench.inbox.send(body)
    assert await take(bench) is None
    assert 1 == len(bench.inbox.messages), reason
    assert [("m0", 1)] == bench.inbox.hidings


async def test_a_message_without_redrive_policy_does_not_keep_us_busy(bench: Any) -> None:
    bench.inbox.send("{")
    bench.inbox.messages["m0"].receives = 20
    await take(bench)
    assert [("m0", 60)] == bench.inbox.hidings


async def test_an_outage_of_the_table_puts_the_message_back(
    bench: Any, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    bench.submit(make_task)
    monkeypatch.setattr(bench.store, "apply", fail)
    assert await take(bench) is None
    assert [("m0", 0)] == bench.inbox.hidings


async def test_a_closed_intake_puts_back_what_a_request_under_way_still_brings(
    bench: Any, make_task: MakeTask
) -> None:
    task = bench.submit(make_task)
    bench.inbox.while_receiving = bench.intake.close
    assert await bench.intake.receive(0) is None
    assert [("m0", 0)] == bench.inbox.hidings
    assert await bench.intake.receive(0) is None
    assert 0 == bench.state(task).attempt
