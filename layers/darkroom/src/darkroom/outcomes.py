"""How tasks end other than by their owner's word: by a result, in the dead-letter queue, by the clock."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from darkroom import tasks
from darkroom.errors import TransitionRefusedError
from darkroom.messages import TaskMessage, TaskResult
from darkroom.ports import TaskStore
from darkroom.tasks import Change, Refusal, Task, TaskError


def record_result(store: TaskStore, result: TaskResult, now: datetime) -> Task | None:
    """End a task with what an attempt reported.

    Returns None where the report does not count: it is a repetition, or comes from an attempt that lost the task.
    """
    if result.error is None:
        change = tasks.succeed(
            now, result.attempt, images=result.images, output_url=result.output_url, timings=result.timings
        )
    else:
        change = tasks.fail(now, result.attempt, result.error, output_url=result.output_url, timings=result.timings)
    return _try(store, result, replace(change, submission=result.submission))


def bury_dead_letter(store: TaskStore, message: TaskMessage, now: datetime) -> Task | None:
    """End a task whose message no agent could finish.

    Returns None where the task has ended already or was submitted anew.

    Raises:
        TransitionRefusedError: an attempt still holds the task (`Refusal.LEASED`): ask again later.
    """
    key = message.metadata.key
    task = store.get(key)
    last = f"; the last one said: {task.error.message}" if task is not None and task.error is not None else ""
    attempts = task.attempt if task is not None else 0
    error = TaskError(type="dead_letter", message=f"given up after {attempts} attempts{last}", retryable=True)
    try:
        return store.apply(key, tasks.bury(now, error, message.metadata.submission))
    except TransitionRefusedError as refused:
        if refused.refusal is Refusal.LEASED:
            raise
        return None


def sweep(store: TaskStore, now: datetime, lapse: timedelta) -> tuple[list[Task], list[Task]]:
    """End what is past its deadline, and give tasks a new message whose lease ran out more than `lapse` ago.

    Returns:
        The tasks that expired, and those that wait again.
    """
    expired = _apply_all(store, store.due(now), tasks.expire(now))
    requeued = _apply_all(store, store.lapsed(now - lapse), tasks.requeue(now))
    return expired, requeued


def _apply_all(store: TaskStore, found: Iterable[Task], change: Change) -> list[Task]:
    return [task for candidate in found if (task := _try(store, candidate, change)) is not None]


def _try(store: TaskStore, what: Task | TaskResult, change: Change) -> Task | None:
    try:
        return store.apply(what.key, change)
    except TransitionRefusedError:
        return None
