"""Starting and stopping tasks on behalf of state machines."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from darkroom import tasks
from darkroom.errors import TransitionRefusedError
from darkroom.models import to_text
from darkroom.ports import BlobStore, TaskStore
from darkroom.submissions import INLINE_CONTENT
from darkroom.tasks import Task


@dataclass(frozen=True)
class TaskStarts:
    """The use case: writes a task that a state machine waits for; `bucket` takes its outputs."""

    store: TaskStore
    blobs: BlobStore
    bucket: str

    def start(self, task: Task) -> Task:
        """Write a task; the same task again changes nothing.

        Raises:
            TaskConflictError: the id belongs to an unfinished task of another kind.
        """
        data = json.dumps(task.content).encode()
        if len(data) > INLINE_CONTENT:
            link = f"s3://{self.bucket}/.requests/{task.owner}/{task.id}/{to_text(task.created_at)}.json"
            self.blobs.put(link, data, "application/json")
            task = task.model_copy(update={"content": None, "content_ref": link})
        return self.store.submit(task)

    def cancel(self, task: Task, now: datetime) -> Task:
        """See `cancel`."""
        return cancel(self.store, task, now)


def cancel(store: TaskStore, task: Task, now: datetime) -> Task:
    """Cancel a task, and return it as it is then: it may have ended otherwise in the meantime."""
    try:
        return store.apply(task.key, tasks.cancel(now))
    except TransitionRefusedError:
        return store.get(task.key) or task


def reason_of(failure: Mapping[str, str]) -> str:
    """Why a state failed (`Error`, `Cause`), for people: Lambda puts a function's error into the cause as JSON."""
    cause = failure.get("Cause", "")
    try:
        found = json.loads(cause)
    except ValueError:
        return cause
    return str(found["errorMessage"]) if isinstance(found, dict) and "errorMessage" in found else cause
