"""What the domain needs of the world. `darkroom.aws` has the real ones, `darkroom.testing` those in memory."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

from darkroom.callbacks import Callback
from darkroom.events import TaskEvent
from darkroom.runtimes import Runtime
from darkroom.tasks import Change, Task, TaskKey


class TaskStore(Protocol):
    """The tasks, and the truth about them. Every change is atomic."""

    def submit(self, task: Task) -> Task:
        """Add a task.

        An id names its latest submission. Where its task is unfinished and has the same fingerprint, that task is
        returned and nothing changes. Where it has ended, the new task takes its place and counts attempts on.

        Raises:
            TaskConflictError: it is unfinished and has another fingerprint.
        """

    def get(self, key: TaskKey) -> Task | None:
        """The task as it is now, or None."""

    def apply(self, key: TaskKey, change: Change) -> Task:
        """Change a task, if `tasks.check` allows it, and return it as it is then.

        Raises:
            TransitionRefusedError: it does not.
        """

    def due(self, now: datetime) -> Iterator[Task]:
        """The unfinished tasks whose deadline has passed. An index may lag: `apply` decides."""

    def lapsed(self, before: datetime) -> Iterator[Task]:
        """The running tasks whose lease ran out before that time. An index may lag: `apply` decides."""


class BlobStore(Protocol):
    """Files by link (`s3://bucket/key`)."""

    def put(self, link: str, data: bytes, content_type: str, metadata: Mapping[str, str] | None = None) -> None:
        """Write a file, or write it again."""

    def create(self, link: str, data: bytes, content_type: str, metadata: Mapping[str, str] | None = None) -> None:
        """Write a file that is not there yet.

        Raises:
            FileExistsError: there is one.
        """

    def get(self, link: str, limit: int | None = None) -> bytes:
        """Read a file.

        Raises:
            FileNotFoundError: there is none.
            BlobTooLargeError: it has more than `limit` bytes.
        """


class RuntimeRegistry(Protocol):
    """The runtimes that are deployed."""

    def all(self) -> Mapping[str, Runtime]:
        """Every runtime by its name. May be some seconds old."""

    def refresh(self) -> Mapping[str, Runtime]:
        """Every runtime by its name, as of now."""


class TaskQueue(Protocol):
    """Where tasks wait for a runtime's agents."""

    def dispatch(self, task: Task) -> None:
        """Send the task's message on its way to the runtime."""


class EventBus(Protocol):
    """Where changes are told."""

    def put(self, event: TaskEvent) -> None:
        """Tell one change."""


class Completions(Protocol):
    """Where owners hear of their tasks' ends."""

    def publish(self, callback: Callback, attributes: Mapping[str, str]) -> None:
        """Send the guide's callback message."""


class Workflows(Protocol):
    """The state machines that wait for tasks."""

    def answer(self, token: str, task: Task) -> None:
        """Tell the execution that gave this token how its task ended. One that no longer waits is left alone."""


class Once(Protocol):
    """Does things once, however often they are asked for."""

    def do(self, event_id: UUID, action: Callable[[], None]) -> None:
        """Run the action, unless it was done under this id before.

        An action that raises counts as not done.
        """
