"""Telling waiting state machines that their tasks are alive.

A task that waits in a queue, or whose lease holds, is alive. Where the word stops (the table lost the task, or its
end could not be told), the state machine gives up waiting after `pipeline_runs.HEARTBEAT` and looks for itself.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from darkroom.tasks import Task, TaskStatus


class Beats(Protocol):
    """The state machines that wait with a token."""

    def beat(self, token: str) -> None:
        """Tell one that its task is alive. One that no longer waits is left alone."""


def beat_all(tasks: Iterable[Task], beats: Beats, now: datetime) -> int:
    """Tell the state machines of unfinished tasks; returns how many were told."""
    told = 0
    for task in tasks:
        if task.task_token is not None and is_alive(task, now):
            beats.beat(task.task_token)
            told += 1
    return told


def is_alive(task: Task, now: datetime) -> bool:
    """Whether somebody will end the task: it waits, or its holder is not silent."""
    waits = task.status is TaskStatus.QUEUED
    return waits or (not task.status.ended and task.lease_until is not None and task.lease_until > now)
