"""Keeping hold of a task while it is worked on, and letting go of it.

A held task is leased in the table (the truth) and its message is hidden in the queue. A heartbeat keeps both, and
finds out when the task is no longer ours: then `aborted` is set, `reason` says why, and whoever works on the task
stops.
"""

import asyncio
import math
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from pydantic_core import to_json

from darkroom import tasks
from darkroom.errors import TransitionRefusedError
from darkroom.models import now
from darkroom.ports import TaskStore
from darkroom.tasks import Change, Task, TaskError
from darkroom_agent import metrics
from darkroom_agent.aborts import Abort, abort_for
from darkroom_agent.faults import AWS_FAULTS, describe
from darkroom_agent.flags import Flag
from darkroom_agent.logs import EventLog
from darkroom_agent.queues import Delivery, Inbox
from darkroom_agent.threads import Threads
from darkroom_agent.traces import NO_TRACES, AttemptRecord, Phase, Traces

log = EventLog(__name__)

LONGEST_HIDING = 43_200
"""Seconds that SQS hides a message at most."""

SMALL_CONTENT = 16 * 1024
"""Bytes of content up to which progress is written whenever it moves. DynamoDB bills a change by the size of the
whole item, so that of a large one is written with the lease only."""

MESSAGE_OUTLASTS = 1.0
"""Seconds that a message stays hidden beyond the lease. Whoever receives it then finds the lease over; one received
before would be put back, and each receive uses up one that the redrive policy allows."""

PROGRESS_STEP = 0.01
"""What progress must have moved by to be written."""

_GOODBYE = 15.0
"""Seconds to spend on handing a task back; after that its lease hands it back."""


def whole_seconds(seconds: float) -> int:
    """What SQS takes for a time: no fractions, and no more than 12 hours."""
    return max(0, min(LONGEST_HIDING, math.ceil(seconds)))


@dataclass(frozen=True)
class Custody:
    """What a lease is kept with. Times are in seconds."""

    store: TaskStore
    inbox: Inbox
    threads: Threads
    lease: float
    heartbeat: float
    traces: Traces = NO_TRACES


class Lease:
    """One claimed task, from its claim until it is finished or let go.

    Attributes:
        task: the task as it was claimed.
        delivery: the message that brought it.
        aborted: set once the task is no longer ours.
        reason: why.
        progress: how far the run is (0 to 1); the heartbeat writes it down.
        preview: a link to what the run shows so far; likewise.
        phases: how long what was done with the task took.
        held: False once the task was let go, in whichever way.
    """

    def __init__(self, custody: Custody, delivery: Delivery, task: Task) -> None:
        self.task = task
        self.delivery = delivery
        self.aborted = Flag()
        self.reason: Abort | None = None
        self.progress: float | None = None
        self.preview: str | None = None
        self.phases: list[Phase] = []
        self.held = True
        self._custody = custody
        self._extended = self._hidden = delivery.received
        self._written: tuple[float, str | None] = (0, None)
        self._small = task.content is None or len(to_json(task.content)) < SMALL_CONTENT
        self._started = time.time()
        metrics.IN_FLIGHT.inc()
        self._beat: asyncio.Task[None] | None = None

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin the heartbeat."""
        self._beat = group.create_task(self._keep(), name=f"heartbeat {self.task.key}")

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what is done inside."""
        phase = Phase(name, time.time())
        started = time.monotonic()
        try:
            yield
        finally:
            phase.seconds = time.monotonic() - started
            self.phases.append(phase)
            metrics.PHASES.labels(name).observe(phase.seconds)

    async def finish(self, outcome: str) -> None:
        """Let go of a task whose end is reported: its message has done its work.

        A message that cannot be deleted comes back; the next claim finds the task ended and deletes it.
        """
        self._stop(outcome)
        await _best_effort(self._delete(), "message_not_deleted")

    async def release(self, error: TaskError | None = None, after: float = 0) -> None:
        """Give the task back, to be tried again `after` seconds from now.

        Where the table cannot be reached the lease will run out, and the message is left to come back after it.
        What was let go before is left alone.
        """
        if not self.held:
            return
        self._stop("released", error)
        await _best_effort(self._release(error, after), "task_not_released")

    async def abandon(self) -> None:
        """Let go of a task that is no longer ours."""
        self._stop(self.reason or "released")
        log.info("task_abandoned", reason=self.reason)
        if self.reason is not None and self.reason.message_is_spent:
            await _best_effort(self._delete(), "message_not_deleted")

    def abort(self, reason: Abort) -> None:
        """Tell whoever works on the task to stop. The first reason stays."""
        if self.reason is None:
            log.info("task_lost", reason=reason)
            self.reason = reason
            self.aborted.set()

    def _stop(self, end: str, error: TaskError | None = None) -> None:
        if self.held:
            metrics.IN_FLIGHT.dec()
            metrics.TASKS.labels(end).inc()
            record = AttemptRecord(self.task, self.delivery.trace, self._started, tuple(self.phases), end, error)
            self._custody.traces.record(record)
        self.held = False
        if self._beat is not None:
            self._beat.cancel()

    async def _keep(self) -> None:
        while self.reason is None:
            await asyncio.sleep(min(self._custody.heartbeat, max(self._left() / 3, 0.05)))
            try:
                async with asyncio.timeout(max(self._left(), 0)):
                    await self._renew()
            except TransitionRefusedError as refused:
                self.abort(abort_for(refused))
            except (*AWS_FAULTS, TimeoutError) as error:
                metrics.RETRIES.labels("heartbeat").inc()
                log.warning("heartbeat_failed", error=describe(error))
                if self._left() <= 0:
                    self.abort(Abort.LAPSED)

    def _left(self) -> float:
        """Seconds until the lease runs out."""
        return self._extended + self._custody.lease - time.monotonic()

    async def _renew(self) -> None:
        """Look whether the task is still ours.

        Keep it for longer where a third of the lease is over; write its progress where that costs little.
        """
        if self.task.expires_at <= now():
            await self._custody.threads(self._custody.store.apply, self.task.key, tasks.expire(now()))
            self.abort(Abort.EXPIRED)
            return
        lease, asked = self._custody.lease, time.monotonic()
        progress, preview = self.progress, self.preview
        is_due = self._left() <= lease * 2 / 3
        since = asked if is_due else self._extended  # news alone do not extend it: the message stays hidden as long
        left = timedelta(seconds=since + lease - asked)
        change = self._of_this(tasks.extend(now(), self.task.attempt, left, progress, preview))
        if not is_due and not self._has_news():
            await self._look(change)
        else:
            await self._custody.threads(self._custody.store.apply, self.task.key, change)
            self._extended = since
            self._written = (progress or 0, preview)
        if asked - self._hidden >= lease / 3:
            await self._hide()

    def _of_this(self, change: Change) -> Change:
        """A change of this submission only: where a task is deleted, its id begins to count attempts anew."""
        return replace(change, submission=self.task.created_at)

    async def _hide(self) -> None:
        """Keep the message hidden. The table decides: one that is seen early finds the task leased."""
        lease, asked = self._custody.lease, time.monotonic()
        try:
            async with asyncio.timeout(min(lease / 6, self._custody.heartbeat)):  # whether it is ours comes first
                seconds = whole_seconds(lease + MESSAGE_OUTLASTS)
                await self._custody.threads(self._custody.inbox.hide, self.delivery, seconds)
        except (*AWS_FAULTS, TimeoutError) as error:
            log.warning("message_not_hidden", error=describe(error))
            self._hidden += lease / 6  # soon again, but not with every heartbeat: each takes a thread for a while
        else:
            self._hidden = asked

    def _has_news(self) -> bool:
        """True where the run has come so far that its owner should see it."""
        progress, preview = self._written
        moved = abs((self.progress or 0) - progress) >= PROGRESS_STEP
        return self._small and (moved or self.preview != preview)

    async def _look(self, change: Change) -> None:
        """A read costs less than a write, and wakes no stream."""
        task = await self._custody.threads(self._custody.store.get, self.task.key)
        refusal = tasks.check(task, change)
        if refusal is not None:
            raise TransitionRefusedError(refusal, task)

    async def _delete(self) -> None:
        await self._custody.threads(self._custody.inbox.delete, self.delivery)

    async def _release(self, error: TaskError | None, after: float) -> None:
        change = self._of_this(tasks.release(now(), self.task.attempt, error))
        try:
            await self._custody.threads(self._custody.store.apply, self.task.key, change)
        except TransitionRefusedError as refused:
            self.abort(abort_for(refused))
            if self.reason is not None and self.reason.message_is_spent:
                await self._delete()
            return
        log.info("task_released", after_seconds=after, error=error.type if error else None)
        await self._custody.threads(self._custody.inbox.hide, self.delivery, whole_seconds(after))


async def _best_effort(work: Coroutine[Any, Any, None], failure: str) -> None:
    """Do what may as well not succeed, since time would bring the same about; log it where it does not."""
    try:
        async with asyncio.timeout(_GOODBYE):
            await work
    except (*AWS_FAULTS, TimeoutError) as error:
        log.warning(failure, error=describe(error))
