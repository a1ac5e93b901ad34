"""What the world hears of a task."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from darkroom import tasks
from darkroom.announcements import Announcements
from darkroom.events import BusEvent, event_id
from darkroom.messages import routing_attributes
from darkroom.tasks import Change, Task, TaskError, changed
from darkroom.testing import InMemoryOnce, Recorder
from darkroom.webhooks import Webhook

MakeTask = Callable[..., Task]
LEASE = timedelta(seconds=60)


@pytest.fixture
def world() -> Recorder:
    return Recorder()


@pytest.fixture
def announcements(world: Recorder) -> Announcements:
    return Announcements(world, world, world, world, InMemoryOnce(), world)


def after(task: Task, *steps: Change) -> Task:
    for step in steps:
        task = changed(task, step)
    return task


def running(task: Task, now: datetime) -> Task:
    return after(task, tasks.claim(now, LEASE))


def done(task: Task, now: datetime) -> Task:
    end = tasks.succeed(now, 1, images=("s3://b/a-abcd-1.png",), output_url="s3://b/a-abcd.out", timings=None)
    return after(running(task, now), end)


def test_a_new_task_gets_a_message_and_is_told(
    announcements: Announcements, world: Recorder, make_task: MakeTask
) -> None:
    announcements.tell(None, make_task())

    assert world.dispatched == [make_task()]
    assert [event.detail_type for event in world.events] == ["TaskQueued"]
    assert world.callbacks == []


def test_a_started_task_is_told_and_a_heartbeat_is_not(
    announcements: Announcements, world: Recorder, make_task: MakeTask, start: datetime
) -> None:
    task = running(make_task(), start)
    announcements.tell(make_task(), task)
    announcements.tell(task, after(task, tasks.extend(start, 1, LEASE, 0.5)))

    assert [event.detail_type for event in world.events] == ["TaskStarted"]
    assert world.dispatched == []


def test_a_released_task_gets_no_second_message_since_its_own_comes_back(
    announcements: Announcements, world: Recorder, make_task: MakeTask, start: datetime
) -> None:
    task = running(make_task(), start)
    announcements.tell(task, after(task, tasks.release(start, 1)))

    assert world.dispatched == []
    assert [event.detail_type for event in world.events] == ["TaskQueued"]


def test_a_requeued_task_gets_a_new_message(
    announcements: Announcements, world: Recorder, make_task: MakeTask, start: datetime
) -> None:
    task = running(make_task(), start)
    waiting = after(task, tasks.requeue(start + LEASE))
    announcements.tell(task, waiting)

    assert world.dispatched == [waiting]


def test_a_task_submitted_anew_under_its_id_gets_a_message(
    announcements: Announcements, world: Recorder, make_task: MakeTask, start: datetime
) -> None:
    anew = make_task(created_at=start + LEASE)
    announcements.tell(done(make_task(), start), anew)

    assert world.dispatched == [anew]
    assert world.callbacks == []


def test_an_end_is_announced_once_however_often_it_is_told(
    announcements: Announcements, world: Recorder, make_task: MakeTask, start: datetime
) -> None:
    task = make_task(task_token="token")
    for _ in range(3):
        announcements.tell(running(task, start), done(task, start))

    assert len(world.callbacks) == len(world.answers) == 1
    assert [event.detail_type for event in world.events] == ["TaskSucceeded"]


def test_the_callback_has_exactly_the_guides_fields(
    announcements: Announcements, world: Recorder, make_task: MakeTask, start: datetime
) -> None:
    announcements.tell(running(make_task(), start), done(make_task(), start))

    ((callback, attributes),) = world.callbacks
    assert json.loads(callback.to_json()) == {
        "id": "test-t2i",
        "result": True,
        "image_url": ["s3://b/a-abcd-1.png"],
        "output_url": "s3://b/a-abcd.out",
        "context": {"abc": 123},
    }
    assert attributes == {"runtime": "sdruntime", "tasktype": "text-to-image", "status": "succeeded"}


@pytest.mark.parametrize(
    ("end", "status", "event"),
    [
        pytest.param(
            lambda now: tasks.fail(now, 1, TaskError(type="model_not_found", message="no x")),
            "failed",
            "TaskFailed",
            id="failed",
        ),
        pytest.param(tasks.cancel, "cancelled", "TaskCancelled", id="cancelled"),
        pytest.param(tasks.expire, "expired", "TaskExpired", id="expired"),
    ],
)
def test_every_other_end_reaches_the_owner_with_its_reason(
    make_task: MakeTask, start: datetime, end: Callable[[datetime], Change], status: str, event: str
) -> None:
    world = Recorder()
    announcements = Announcements(world, world, world, world, InMemoryOnce(), world)
    task = running(make_task(), start)
    announcements.tell(task, after(task, end(start)))

    ((callback, attributes),) = world.callbacks
    assert (callback.result, callback.image_url, attributes["status"]) == (False, (), status)
    assert callback.error is not None
    assert [told.detail_type for told in world.events] == [event]


def test_an_end_that_could_not_be_told_is_told_again_with_one_callback(
    make_task: MakeTask, start: datetime
) -> None:
    class Stubborn(Recorder):
        def put(self, event: BusEvent) -> None:
            super().put(event)
            if len(self.events) == 1:
                raise ConnectionError

    world = Stubborn()
    announcements = Announcements(world, world, world, world, InMemoryOnce(), world)
    with pytest.raises(ConnectionError):
        announcements.tell(running(make_task(), start), done(make_task(), start))
    announcements.tell(running(make_task(), start), done(make_task(), start))

    assert len(world.callbacks) == 1
    assert world.told[0].event_id == world.told[1].event_id


def test_events_of_different_changes_have_different_ids(make_task: MakeTask, start: datetime) -> None:
    task = make_task()
    once = running(task, start)
    again = running(after(once, tasks.release(start, 1)), start)
    anew = make_task(created_at=start + LEASE)

    states = [task, once, after(once, tasks.release(start, 1)), again, done(task, start), anew]
    assert len({event_id(state) for state in states}) == len(states)


@pytest.mark.parametrize(
    ("changes", "attributes"),
    [
        pytest.param(
            {}, {"runtime": "sdruntime", "tasktype": "text-to-image", "priority": "normal"}, id="by runtime"
        ),
        pytest.param(
            {"priority": "high"},
            {"runtime": "sdruntime", "tasktype": "text-to-image", "priority": "high"},
            id="urgent",
        ),
        pytest.param(
            {"model": "m", "routed_by_model": True},
            {"sd_model_checkpoint": "m", "tasktype": "text-to-image", "priority": "normal"},
            id="by checkpoint",
        ),
    ],
)
def test_a_message_names_either_its_runtime_or_its_checkpoint(
    make_task: MakeTask, changes: dict[str, Any], attributes: dict[str, str]
) -> None:
    assert routing_attributes(make_task(**changes)) == attributes


EVERYTHING = Webhook(
    url="https://example.com/hooks",
    events=("task.started", "task.progress", "task.succeeded", "task.failed", "task.cancelled", "task.expired"),
)


def test_a_webhook_hears_of_the_start_and_of_the_end(
    announcements: Announcements, world: Recorder, make_task: MakeTask, start: datetime
) -> None:
    task = make_task(webhook=EVERYTHING)
    announcements.tell(None, task)
    announcements.tell(task, running(task, start))
    announcements.tell(running(task, start), done(task, start))

    assert [message.type for message, _ in world.notices] == ["task.started", "task.succeeded"]
    assert [message.webhook_id for message, _ in world.notices] == [event.event_id for event in world.told[1:]]


def test_a_webhook_hears_of_what_it_asked_for_only(
    announcements: Announcements, world: Recorder, make_task: MakeTask, start: datetime
) -> None:
    for task in (make_task(), make_task(webhook=Webhook(url="https://example.com", events=("task.failed",)))):
        announcements.tell(task, running(task, start))
        announcements.tell(running(task, start), done(task, start))

    assert world.notices == []


def test_a_webhook_hears_of_each_step_of_progress_once(
    announcements: Announcements, world: Recorder, make_task: MakeTask, start: datetime
) -> None:
    old = running(make_task(webhook=EVERYTHING), start)
    for share in (0.01, 0.09, 0.1, 0.15, 0.52, 0.52, 0.6):
        new = after(old, tasks.extend(start, 1, LEASE, share))
        announcements.tell(old, new)
        old = new

    told = [json.loads(message.body)["data"]["progress"] for message, _ in world.notices]
    assert told == [0.1, 0.52, 0.6]
    assert len({message.webhook_id for message, _ in world.notices}) == 3
    assert world.events == []


def test_a_change_that_is_told_twice_is_one_webhook(
    announcements: Announcements, world: Recorder, make_task: MakeTask, start: datetime
) -> None:
    task = make_task(webhook=EVERYTHING)
    for _ in range(2):
        announcements.tell(task, running(task, start))

    first, second = (message for message, _ in world.notices)
    assert (first.webhook_id, first.body) == (second.webhook_id, second.body)
