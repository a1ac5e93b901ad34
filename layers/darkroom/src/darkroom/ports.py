"""What the domain needs of the world. `darkroom.aws` has the real ones, `darkroom.testing` those in memory."""

from __future__ import annotations  # a port names types; whoever imports it need not load them all

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime
    from uuid import UUID

    from darkroom.callbacks import Callback
    from darkroom.events import BusEvent
    from darkroom.listings import Page, Position, TaskFilter
    from darkroom.runtimes import QueueDepth, Runtime
    from darkroom.signed_links import SignedParts, SignedPut
    from darkroom.tasks import Change, Task, TaskKey


class TaskStore(Protocol):
    """The tasks, and the truth about them. Every change is atomic."""

    def submit(self, task: Task, *, replace: bool = True) -> Task:
        """Add a task.

        Where the id's task is unfinished and has the same fingerprint, that task is returned and nothing changes.
        Where it has ended, the new task takes its place and counts attempts on; with `replace` false it is treated
        like an unfinished one.

        Raises:
            TaskConflictError: the id has a task that stays, and it has another fingerprint.
        """

    def get(self, key: TaskKey) -> Task | None:
        """The task as it is now, or None."""

    def apply(self, key: TaskKey, change: Change) -> Task:
        """Change a task, if `tasks.check` allows it, and return it as it is then.

        Raises:
            TransitionRefusedError: it does not.
        """

    def delete(self, key: TaskKey, submission: datetime) -> None:
        """Forget a task that has ended, if it is still that submission (its `created_at`).

        Raises:
            TransitionRefusedError: it is unknown, another submission, or unfinished.
        """

    def page(self, owner: str, which: TaskFilter, limit: int, after: Position | None = None) -> Page:
        """The owner's next tasks, newest first: `limit` of them, or fewer where there are no more.

        An index may lag: a task that was submitted this moment may be missing, never one that does not fit.
        """

    def oldest(self, runtime: str) -> Task | None:
        """Of the tasks that wait for a runtime one that is due first, and so about the oldest. An index may lag."""

    def due(self, now: datetime) -> Iterator[Task]:
        """The unfinished tasks whose deadline has passed. An index may lag: `apply` decides."""

    def lapsed(self, before: datetime) -> Iterator[Task]:
        """The running tasks whose lease ran out before that time. An index may lag: `apply` decides."""


class Blob(NamedTuple):
    """A file's content, and a tag that tells contents of one place apart."""

    data: bytes
    tag: str


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

    def get_other(self, link: str, tag: str, admit: Callable[[int], object] | None = None) -> Blob | None:
        """Read a file with the tag (ETag) of its content; None where that is still `tag`. Otherwise like `get`.

        `admit` is called with the size in bytes before the content is read; what it raises goes through.
        """

    def delete(self, links: Iterable[str]) -> None:
        """Remove files; those that are not there are no fault."""


class BlobLinks(Protocol):
    """Links by which anyone can fetch or put one file, for an hour. None of them costs a call, but for parts."""

    def to_get(self, link: str) -> str:
        """A URL to fetch a file from."""

    def to_put(self, link: str, content_type: str, size: int) -> SignedPut:
        """A URL to put a file of that type and size (bytes) at."""

    def start_parts(self, link: str, content_type: str, count: int) -> SignedParts:
        """Begin a file of `count` parts, and make a URL to put each at."""

    def finish_parts(self, link: str, upload_id: str, tags: Mapping[int, str]) -> None:
        """Make one file of the parts that were put; `tags` are the ETags that S3 answered, by number (from 1).

        Raises:
            UploadNotFoundError: no such upload is under way there.
            InvalidRequestError: parts are missing, too small, or have other tags.
        """


class RuntimeQueues(Protocol):
    """The queues of the runtimes, as operators see them."""

    def depth(self, runtime: Runtime) -> QueueDepth:
        """How many messages wait, some seconds ago at most."""

    def redrive(self, runtime: Runtime, seconds: float) -> int:
        """Put dead letters back into the queue, for so long at most; returns how many."""


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

    def put(self, event: BusEvent) -> None:
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
