"""The ports in memory, for tests and for those who build on the domain.

`tests/contract` runs them and the real ones through the same suites.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from threading import Lock
from uuid import UUID

from darkroom.callbacks import Callback
from darkroom.errors import BlobTooLargeError, TaskConflictError, TransitionRefusedError
from darkroom.events import BusEvent, TaskEvent
from darkroom.listings import Page, Position, TaskFilter
from darkroom.notices import Notice
from darkroom.ports import Blob
from darkroom.runtimes import Runtime
from darkroom.tasks import Change, Refusal, Task, TaskKey, TaskStatus, changed, check, check_deletion


class InMemoryTaskStore:
    """A `TaskStore` in a dictionary."""

    def __init__(self) -> None:
        self._tasks: dict[TaskKey, Task] = {}
        self._lock = Lock()

    def submit(self, task: Task, *, replace: bool = True) -> Task:
        """See `TaskStore.submit`."""
        with self._lock:
            old = self._tasks.get(task.key)
            if old is not None and not (replace and old.status.ended):
                if old.fingerprint != task.fingerprint:
                    raise TaskConflictError
                return old
            if old is not None:
                task = task.model_copy(update={"attempt": old.attempt})
            self._tasks[task.key] = task
            return task

    def get(self, key: TaskKey) -> Task | None:
        """See `TaskStore.get`."""
        return self._tasks.get(key)

    def apply(self, key: TaskKey, change: Change) -> Task:
        """See `TaskStore.apply`."""
        with self._lock:
            task = self._tasks.get(key)
            refusal = check(task, change)
            if task is None or refusal is not None:
                raise TransitionRefusedError(refusal or Refusal.UNKNOWN, task)
            self._tasks[key] = changed(task, change)
            return self._tasks[key]

    def delete(self, key: TaskKey, submission: datetime) -> None:
        """See `TaskStore.delete`."""
        with self._lock:
            task = self._tasks.get(key)
            refusal = check_deletion(task, submission)
            if refusal is not None:
                raise TransitionRefusedError(refusal, task)
            del self._tasks[key]

    def page(self, owner: str, which: TaskFilter, limit: int, after: Position | None = None) -> Page:
        """See `TaskStore.page`."""
        fitting = [task for task in self._tasks.values() if task.owner == owner and which.fits(task)]
        newest_first = sorted(fitting, key=Position.of, reverse=True)
        left = [task for task in newest_first if after is None or Position.of(task) < after]
        shown = tuple(task.model_copy(update={"content": None}) for task in left[:limit])
        return Page(shown, more=len(left) > limit)

    def oldest(self, runtime: str) -> Task | None:
        """See `TaskStore.oldest`."""
        waiting = [t for t in self._tasks.values() if t.runtime == runtime and t.status is TaskStatus.QUEUED]
        return min(waiting, key=lambda task: task.expires_at, default=None)

    def due(self, now: datetime) -> Iterator[Task]:
        """See `TaskStore.due`."""
        return iter([t for t in self._tasks.values() if not t.status.ended and t.expires_at <= now])

    def lapsed(self, before: datetime) -> Iterator[Task]:
        """See `TaskStore.lapsed`."""
        running = [t for t in self._tasks.values() if t.status is TaskStatus.RUNNING]
        return iter([t for t in running if t.lease_until is not None and t.lease_until < before])


class InMemoryBlobStore:
    """A `BlobStore` in a dictionary."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def put(self, link: str, data: bytes, content_type: str, metadata: Mapping[str, str] | None = None) -> None:
        """See `BlobStore.put`."""
        del content_type, metadata
        self.files[link] = data

    def create(self, link: str, data: bytes, content_type: str, metadata: Mapping[str, str] | None = None) -> None:
        """See `BlobStore.create`."""
        if link in self.files:
            raise FileExistsError(link)
        self.put(link, data, content_type, metadata)

    def delete(self, links: Iterable[str]) -> None:
        """See `BlobStore.delete`."""
        for link in links:
            self.files.pop(link, None)

    def get(self, link: str, limit: int | None = None) -> bytes:
        """See `BlobStore.get`."""
        try:
            data = self.files[link]
        except KeyError:
            raise FileNotFoundError(link) from None
        if limit is not None and len(data) > limit:
            raise BlobTooLargeError
        return data

    def get_other(self, link: str, tag: str, admit: Callable[[int], object] | None = None) -> Blob | None:
        """See `BlobStore.get_other`."""
        data = self.get(link)
        found = Blob(data, sha256(data).hexdigest())
        if found.tag == tag:
            return None
        if admit is not None:
            admit(len(data))
        return found


@dataclass
class InMemoryRuntimeRegistry:
    """A `RuntimeRegistry` of what `deployed` holds; `all` sees it as it was at the last refresh."""

    deployed: dict[str, Runtime] = field(default_factory=dict)
    refreshes: int = 0
    _seen: Mapping[str, Runtime] | None = None

    def all(self) -> Mapping[str, Runtime]:
        """See `RuntimeRegistry.all`."""
        return self.refresh() if self._seen is None else self._seen

    def refresh(self) -> Mapping[str, Runtime]:
        """See `RuntimeRegistry.refresh`."""
        self.refreshes += 1
        self._seen = dict(self.deployed)
        return self._seen


@dataclass
class Recorder:
    """A `TaskQueue`, `EventBus`, `Completions`, `Workflows` and `WebhookQueue` that keeps what it is given."""

    dispatched: list[Task] = field(default_factory=list)
    events: list[BusEvent] = field(default_factory=list)
    callbacks: list[tuple[Callback, Mapping[str, str]]] = field(default_factory=list)
    answers: list[tuple[str, Task]] = field(default_factory=list)
    notices: list[tuple[Notice, float]] = field(default_factory=list)
    buried: list[Notice] = field(default_factory=list)

    def dispatch(self, task: Task) -> None:
        """See `TaskQueue.dispatch`."""
        self.dispatched.append(task)

    def put(self, event: BusEvent) -> None:
        """See `EventBus.put`."""
        self.events.append(event)

    def publish(self, callback: Callback, attributes: Mapping[str, str]) -> None:
        """See `Completions.publish`."""
        self.callbacks.append((callback, attributes))

    def answer(self, token: str, task: Task) -> None:
        """See `Workflows.answer`."""
        self.answers.append((token, task))

    def send(self, notice: Notice, wait: float = 0) -> None:
        """See `WebhookQueue.send`."""
        self.notices.append((notice, wait))

    def bury(self, notice: Notice) -> None:
        """See `WebhookQueue.bury`."""
        self.buried.append(notice)

    @property
    def told(self) -> list[TaskEvent]:
        """The tasks' events among those that the bus was given."""
        return [event for event in self.events if isinstance(event, TaskEvent)]


class InMemoryOnce:
    """A `Once` that remembers ids in a set."""

    def __init__(self) -> None:
        self._done: set[UUID] = set()

    def do(self, event_id: UUID, action: Callable[[], None]) -> None:
        """See `Once.do`."""
        if event_id not in self._done:
            action()
            self._done.add(event_id)
