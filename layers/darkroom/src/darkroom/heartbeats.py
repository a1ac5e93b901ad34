"""Telling waiting state machines that their tasks are alive.

A task that waits in a queue, or whose lease holds, is alive. Where the word stops (the table lost the task, or its
end could not be told), the state machine gives up waiting after `pipeline_runs.HEARTBEAT` and looks for itself.

The other way round, a task for which no state machine waits any more is an orphan and is cancelled. An execution
that is stopped takes its tasks along (`pipeline_ends`); this is for what is lost where something dies just then.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from darkroom.ports import TaskStore
from darkroom.task_starts import cancel
from darkroom.tasks import Task, TaskStatus

CHILDHOOD = timedelta(minutes=5)
"""So old is a task before it can be an orphan: a state waits only once the function has answered that began it."""


class Beats(Protocol):
    """The state machines that wait with a token."""

    def beat(self, token: str) -> bool:
        """Tell one that its task is alive. False where none waits with that token."""


@dataclass
class Round:
    """What one round did: the tasks that were told of, and the orphans that were cancelled."""

    told: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)


def beat_all(tasks: Iterable[Task], beats: Beats, store: TaskStore, now: datetime) -> Round:
    """Tell the state machines of unfinished tasks, and cancel those that none waits for."""
    made = Round()
    for task in tasks:
        if task.task_token is None or not is_alive(task, now):
            continue
        if beats.beat(task.task_token):
            made.told.append(task.id)
        elif now - task.created_at > CHILDHOOD:
            cancel(store, task, now)
            made.orphans.append(task.id)
    return made


def is_alive(task: Task, now: datetime) -> bool:
    """Whether somebody will end the task: it waits, or its holder is not silent."""
    waits = task.status is TaskStatus.QUEUED
    return waits or (not task.status.ended and task.lease_until is not None and task.lease_until > now)
