"""How tasks end by results, dead letters and the clock."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from darkroom import tasks
from darkroom.errors import MessageError, TransitionRefusedError
from darkroom.messages import TaskMessage, TaskResult
from darkroom.outcomes import bury_dead_letter, record_result, sweep
from darkroom.tasks import Task, TaskError, TaskKey, TaskStatus, Timings
from darkroom.testing import InMemoryTaskStore

MakeTask = Callable[..., Task]
LEASE = timedelta(seconds=60)
ERROR = TaskError(type="runtime_lost", message="the runtime went away")


@pytest.fixture
def store() -> InMemoryTaskStore:
    return InMemoryTaskStore()


def result(task: Task, attempt: int = 1, error: TaskError | None = None) -> TaskResult:
    return TaskResult(
        owner=task.owner,
        id=task.id,
        submission=task.created_at,
        attempt=attempt,
        outcome="failed" if error else "succeeded",
        images=() if error else ("s3://b/1.png",),
        error=error,
        timings=Timings(run=1),
    )


def test_a_result_ends_the_task_and_its_repetition_changes_nothing(
    store: InMemoryTaskStore, make_task: MakeTask, start: datetime
) -> None:
    task = store.submit(make_task())
    store.apply(task.key, tasks.claim(start, LEASE))

    ended = record_result(store, result(task), start)

    assert ended is not None
    assert (ended.status, ended.images, ended.timings) == (TaskStatus.SUCCEEDED, ("s3://b/1.png",), Timings(run=1))
    assert record_result(store, result(task, error=ERROR), start) is None
    assert store.get(task.key) == ended


def test_a_failed_result_ends_the_task_with_its_error(
    store: InMemoryTaskStore, make_task: MakeTask, start: datetime
) -> None:
    task = store.submit(make_task())
    store.apply(task.key, tasks.claim(start, LEASE))

    ended = record_result(store, result(task, error=ERROR), start)

    assert ended is not None
    assert (ended.status, ended.error) == (TaskStatus.FAILED, ERROR)


def test_a_result_for_an_earlier_submission_of_the_id_does_not_count(
    store: InMemoryTaskStore, make_task: MakeTask, start: datetime
) -> None:
    task = store.submit(make_task())
    store.apply(task.key, tasks.claim(start, LEASE))

    assert record_result(store, result(make_task(created_at=start - LEASE)), start) is None


def test_a_dead_letter_fails_its_task_and_says_what_the_last_attempt_said(
    store: InMemoryTaskStore, make_task: MakeTask, start: datetime
) -> None:
    task = store.submit(make_task())
    store.apply(task.key, tasks.claim(start, LEASE))
    store.apply(task.key, tasks.release(start, 1, ERROR))

    ended = bury_dead_letter(store, TaskMessage.of(task), start)

    assert ended is not None
    assert ended.status is TaskStatus.FAILED
    assert ended.error == TaskError(
        type="dead_letter",
        message="given up after 1 attempts; the last one said: the runtime went away",
        retryable=True,
    )


def test_a_dead_letter_of_a_task_that_still_runs_comes_again(
    store: InMemoryTaskStore, make_task: MakeTask, start: datetime
) -> None:
    task = store.submit(make_task())
    store.apply(task.key, tasks.claim(start, LEASE))

    with pytest.raises(TransitionRefusedError):
        bury_dead_letter(store, TaskMessage.of(task), start)
    assert bury_dead_letter(store, TaskMessage.of(task), start + LEASE) is not None


def test_a_dead_letter_of_an_ended_or_unknown_task_is_let_go(
    store: InMemoryTaskStore, make_task: MakeTask, start: datetime
) -> None:
    task = store.submit(make_task())
    ended = store.apply(task.key, tasks.cancel(start))

    assert bury_dead_letter(store, TaskMessage.of(task), start) is None
    assert bury_dead_letter(store, TaskMessage.of(make_task(id="unknown")), start) is None
    assert store.get(task.key) == ended


def test_the_sweeper_expires_what_is_due_and_requeues_what_was_lost(
    store: InMemoryTaskStore, make_task: MakeTask, start: datetime
) -> None:
    lapse = timedelta(hours=1)
    for name, hours in (("late", 1), ("lost", 9), ("slow", 9)):
        store.submit(make_task(id=name, expires_at=start + timedelta(hours=hours)))
    store.apply(TaskKey("key1", "lost"), tasks.claim(start, LEASE))
    store.apply(TaskKey("key1", "slow"), tasks.claim(start + lapse, LEASE))

    expired, requeued = sweep(store, start + lapse + timedelta(minutes=2), lapse)

    assert [(t.id, t.status) for t in expired] == [("late", TaskStatus.EXPIRED)]
    assert [(t.id, t.status, t.dispatch) for t in requeued] == [("lost", TaskStatus.QUEUED, 2)]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"metadata": {"id": "a"}}', "x" * 100])
def test_what_is_no_message_is_refused_as_such(text: str) -> None:
    with pytest.raises(MessageError):
        TaskMessage.from_json(text)
    with pytest.raises(MessageError):
        TaskResult.from_json(text)


def test_messages_are_read_as_they_were_written(make_task: MakeTask) -> None:
    for task in (make_task(), make_task(content=None, content_ref="s3://b/k"), make_task(context=None)):
        assert TaskMessage.from_json(TaskMessage.of(task).to_json()) == TaskMessage.of(task)
        assert TaskResult.from_json(result(task).to_json()) == result(task)
