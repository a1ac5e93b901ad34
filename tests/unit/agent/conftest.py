"""A whole agent in memory: a queue, a table, a bucket and a runtime that tests can script. No sockets."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from darkroom.messages import TaskMessage, TaskResult
from darkroom.models import now
from darkroom.outcomes import record_result
from darkroom.tasks import Action, Change, Task, TaskKey
from darkroom.testing import InMemoryBlobStore, InMemoryTaskStore
from darkroom_agent import faults
from darkroom_agent.deliveries import Deliveries
from darkroom_agent.downloads import Budget, Downloads
from darkroom_agent.drains import Drain
from darkroom_agent.flags import Flag, first_of
from darkroom_agent.health import Health
from darkroom_agent.inputs import InputLimits, Inputs
from darkroom_agent.intake import Intake
from darkroom_agent.leases import Custody
from darkroom_agent.links import Link
from darkroom_agent.outputs import OutputStore
from darkroom_agent.pace import Pace
from darkroom_agent.queues import Delivery
from darkroom_agent.readiness import Readiness
from darkroom_agent.runs import RunLimits, Runs
from darkroom_agent.runtimes import Job, Outputs
from darkroom_agent.threads import Threads
from darkroom_agent.worker import Schedule, Stages, Worker

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x08\x00\x00\x00\x08\x08\x02\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x00\x00\x00IEND\xaeB`\x82"
)
PATIENCE = 5.0


@dataclass
class Message:
    """A message in the queue; `visible_at` is on the monotonic clock."""

    id: str
    body: str
    visible_at: float = 0
    receives: int = 0


@dataclass
class FakeInbox:
    """An `Inbox` that hides messages as SQS does. `faults` are raised by the next calls."""

    messages: dict[str, Message] = field(default_factory=dict)
    hidings: list[tuple[str, int]] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    while_receiving: Callable[[], None] = field(default=lambda: None)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def send(self, body: str) -> str:
        with self._changed:
            name = f"m{len(self.messages) + len(self.hidings)}"
            self.messages[name] = Message(name, body)
            self._changed.notify_all()
            return name

    def receive(self, wait: int, hidden: int) -> Delivery | None:
        del wait
        self._fail()
        with self._changed:
            if not self._visible():
                self._changed.wait(0.02)
            self.while_receiving()
            for message in self._visible()[:1]:
                message.visible_at = time.monotonic() + hidden
                message.receives += 1
                return Delivery(message.id, message.body, message.id, message.receives)
        return None

    def hide(self, delivery: Delivery, seconds: int) -> None:
        self._fail()
        with self._changed:
            self.hidings.append((delivery.id, seconds))
            if delivery.id in self.messages:
                self.messages[delivery.id].visible_at = time.monotonic() + seconds

    def delete(self, delivery: Delivery) -> None:
        self._fail()
        with self._changed:
            self.messages.pop(delivery.id, None)

    def _visible(self) -> list[Message]:
        return [m for m in self.messages.values() if m.visible_at <= time.monotonic()]

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


class RecordingStore(InMemoryTaskStore):
    """Keeps the changes that were made."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[Change] = []

    def apply(self, key: TaskKey, change: Change) -> Task:
        task = super().apply(key, change)
        self.changes.append(change)
        return task

    def releases(self) -> list[Any]:
        """The error that each release gave."""
        return [change.values["error"] for change in self.changes if change.action is Action.RELEASE]


@dataclass
class FakeResults:
    """A `ResultQueue` whose results are recorded in the table at once, as the callback function would."""

    store: InMemoryTaskStore
    sent: list[TaskResult] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    def send(self, result: TaskResult, trace: str | None = None) -> None:
        del trace
        if self.faults:
            raise self.faults.pop(0)
        self.sent.append(result)
        record_result(self.store, result, now())


@dataclass
class FakeRuntime:
    """A runtime that does a job as soon as `go` is set; what `faults` holds it raises, a job each.

    Where there is `read`, each job is handed over first, and its answer is read when `read` is set.
    """

    go: Flag = field(default_factory=Flag)
    jobs: list[Job] = field(default_factory=list)
    faults: list[Exception | None] = field(default_factory=list)
    interrupts: int = 0
    heeds_interrupts: bool = True
    waits_for: str | None = None
    away: bool = False
    at: float | None = None
    running: bool = False
    read: asyncio.Event | None = None
    busy: bool = False
    silent: bool = False
    _stop: Flag = field(default_factory=Flag)

    async def ready(self) -> str | None:
        if self.away:
            raise faults.RuntimeLostError("runtime_lost", "gone")
        if self.busy:
            raise faults.RuntimeBusyError("runtime_busy", "the end of an earlier job")
        if self.silent:
            await asyncio.Event().wait()
        return self.waits_for

    async def run(self, job: Job) -> Outputs:
        self.jobs.append(job)
        self.running = True
        self._stop.clear()
        try:
            await first_of(self.go, self._stop)
        finally:
            self.running = False
        if self._stop.is_set():
            return Outputs((b"partial",), {})  # as SD WebUI does: no sign of the interruption
        if self.read is not None:
            await job.hand_over()
            await self.read.wait()
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        return Outputs((PNG,), {"info": "done"})

    async def progress(self) -> float | None:
        return self.at

    async def interrupt(self) -> None:
        self.interrupts += 1
        if self.heeds_interrupts:
            self._stop.set()

    async def close(self) -> None:
        """Nothing to close."""


class FakeDownloads(Downloads):
    """Downloads that need no network: every link leads to an image, but for those in `faults`."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.faults: dict[str, Exception] = {}
        self.hold: asyncio.Event | None = None

    def budget(self) -> Budget:
        return Budget(1_000_000)

    async def fetch(self, link: Link, budget: Budget) -> bytes:
        del budget
        self.fetched.append(link.url)
        if self.hold is not None:
            await self.hold.wait()
        if link.url in self.faults:
            raise self.faults[link.url]
        return PNG


@dataclass
class Bench:
    """An agent's parts, and what a test does with them. Times are in seconds."""

    lease: float = 2
    heartbeat: float = 0.05
    grace: float = 5
    whole_run: float = 30
    stall: float = 30
    prefetch: bool = True
    overrun: float = 30

    def __post_init__(self) -> None:
        self.store = RecordingStore()
        self.blobs = InMemoryBlobStore()
        self.inbox = FakeInbox()
        self.results = FakeResults(self.store)
        self.runtime = FakeRuntime()
        self.downloads = FakeDownloads()
        self.threads = Threads(8)
        self.drain = Drain(self.grace)
        self.health = Health(self.drain)
        self.pace = Pace(self.overrun)
        self.custody = Custody(self.store, self.inbox, self.threads, self.lease, self.heartbeat)
        self.intake = Intake(self.custody, "sdruntime")
        self.readiness = Readiness(self.runtime, self.health, self.drain, 5, self.stall)
        self.runs = Runs(self.readiness, RunLimits(self.whole_run, self.stall), self.drain, self.pace)
        outputs = OutputStore(self.blobs, self.threads)
        self.deliveries = Deliveries(outputs, self.results, self.threads, self.drain, self.readiness)
        inputs = Inputs(self.blobs, self.threads, self.downloads, InputLimits(3, 30))
        stages = Stages(self.intake, inputs, self.runs, self.deliveries)
        self.worker = Worker(
            stages, self.custody, Schedule(self.pace, self.drain, 1, self.prefetch), self.readiness
        )
        self.work: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.work = asyncio.create_task(self.worker.run(), name="worker")

    async def stop(self) -> None:
        """Drain at once, and see that the worker ends by itself."""
        self.drain.halt()
        if self.work is not None:
            async with asyncio.timeout(PATIENCE):
                await self.work

    def submit(self, make_task: Callable[..., Task], **changes: Any) -> Task:
        """Write a task and send its message."""
        start = now()
        fields: dict[str, Any] = {"created_at": start, "expires_at": start + timedelta(hours=1)}
        task = make_task(**(fields | changes))
        self.store.submit(task)
        self.inbox.send(TaskMessage.of(task).to_json())
        return task

    def state(self, task: Task) -> Task:
        found = self.store.get(task.key)
        assert found is not None
        return found


async def _until(condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
    async with asyncio.timeout(patience):
        while not (found := condition()):  # noqa: ASYNC110  what is waited for sets no event
            await asyncio.sleep(0.005)
        return found


@pytest.fixture
def until() -> Callable[..., Awaitable[Any]]:
    """Waits for a condition."""
    return _until


@pytest.fixture
def png() -> bytes:
    return PNG


@pytest.fixture
async def make_bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Bench]]:
    """Makes benches and stops them in the end. Pauses between tries are short."""
    for module, pause in {"deliveries": 0.02, "worker": 0, "intake": 0}.items():
        monkeypatch.setattr(f"darkroom_agent.{module}.backoff", lambda *_, pause=pause: pause)
    monkeypatch.setattr("darkroom_agent.readiness._EVERY", 0.02)
    made: list[Bench] = []

    def make(**times: Any) -> Bench:
        made.append(Bench(**times))
        return made[-1]

    yield make
    for bench in made:
        bench.runtime.go.set()
        if bench.work is not None and not bench.work.done():
            await bench.stop()
        bench.threads.close()


@pytest.fixture
async def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()
