"""What a caller does with a task that is there: look, wait, cancel, retry, delete."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from darkroom import tasks
from darkroom.errors import (
    TaskConflictError,
    TaskNotFoundError,
    TaskNotRetryableError,
    TaskUnfinishedError,
    TransitionRefusedError,
)
from darkroom.ports import TaskStore
from darkroom.submissions import Submissions
from darkroom.tasks import Refusal, Task, TaskKey, TaskStatus

_FIRST_LOOK = 0.1
_GROWTH = 1.4
_LONGEST = 1.0
"""Seconds between looks at a task that is waited for: soon at first, then ever later."""


@dataclass(frozen=True)
class TaskDesk:
    """The use cases. `sleep` takes seconds."""

    store: TaskStore
    submissions: Submissions
    sleep: Callable[[float], None] = time.sleep

    def get(self, key: TaskKey) -> Task:
        """A task as it is now.

        Raises:
            TaskNotFoundError: the owner has none of that id.
        """
        task = self.store.get(key)
        if task is None:
            raise TaskNotFoundError(f"There is no task {key.id!r}.")
        return task

    def wait(self, task: Task, seconds: float) -> Task:
        """A task once it has ended, or as it is when the seconds are over."""
        until, pause = time.monotonic() + seconds, _FIRST_LOOK
        while not task.status.ended and (left := until - time.monotonic()) > 0:
            self.sleep(min(pause, left))
            pause = min(pause * _GROWTH, _LONGEST)
            task = self.store.get(task.key) or task
        return task

    def cancel(self, key: TaskKey, now: datetime) -> Task:
        """End a task. One that has ended already stays as it is.

        Raises:
            TaskNotFoundError: the owner has none of that id.
        """
        try:
            return self.store.apply(key, tasks.cancel(now))
        except TransitionRefusedError as refused:
            if refused.task is None:
                raise TaskNotFoundError(f"There is no task {key.id!r}.") from refused
            return refused.task

    def retry(self, key: TaskKey, now: datetime) -> Task:
        """Ask for the same again, under the same id.

        Raises:
            TaskNotFoundError: the owner has none of that id.
            TaskNotRetryableError: it has not ended, or it has succeeded, or its content is gone.
        """
        task = self.get(key)
        if not task.status.ended or task.status is TaskStatus.SUCCEEDED:
            raise TaskNotRetryableError(f"The task is {task.status}: what ended without success can be retried.")
        try:
            return self.submissions.resubmit(task, now)
        except FileNotFoundError as error:
            raise TaskNotRetryableError("The task's content is no longer kept: submit it again.") from error

    def delete(self, key: TaskKey) -> None:
        """Remove a task that has ended: its outputs, then its record, so that what is cut off can be done again.

        A late result of it changes nothing: it names this submission, which is gone.

        Raises:
            TaskNotFoundError: the owner has none of that id.
            TaskUnfinishedError: it has not ended.
            TaskConflictError: it was submitted anew at the same time.
        """
        task = self.get(key)
        if not task.status.ended:
            raise TaskUnfinishedError(f"The task is {task.status}: cancel it first.")
        self.submissions.discard(task)
        try:
            self.store.delete(key, task.created_at)
        except TransitionRefusedError as refused:
            if refused.refusal is not Refusal.UNKNOWN:
                raise TaskConflictError("The task was submitted anew at the same time.") from refused
