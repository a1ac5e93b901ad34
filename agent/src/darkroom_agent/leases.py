"""Keeping hold of a task while it is worked on, and letting go of it.

A held task is leased in the table (the truth) and its message is hidden in the queue. A heartbeat keeps both, and
finds out when the task is no longer ours: then `aborted` is set, `reason` says why, and whoever works on the task
stops.
"""

import asyncio
import math
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum, auto
from typing import Any

from darkroom import tasks
from darkroom.errors import TransitionRefusedError
from darkroom.models import now
from darkroom.ports import TaskStore
from darkroom.tasks import Change, Refusal, Task, TaskError, TaskStatus
from darkroom_agent.faults import AWS_FAULTS, describe
from darkroom_agent.logs import EventLog
from darkroom_agent.queues import Delivery, Inbox
from darkroom_agent.threads import Threads

log = EventLog(__name__)

LONGEST_HIDING = 43_200
"""Seconds that SQS hides a message at most."""

_GOODBYE = 15.0
"""Seconds to spend on handing a task back; after that its lease hands it back."""


class Abort(StrEnum):
    """Why a task is no longer ours to finish."""

    CANCELLED = auto()
    EXPIRED = auto()
    ENDED = auto()  # in some other way
    UNKNOWN = auto()
    REPLACED = auto()
    SUPERSEDED = auto()  # another attempt holds it
    NOT_RUNNING = auto()  # it was given back behind our back
    LAPSED = auto()  # AWS could not be reached until the lease ran out

    @property
    def message_is_spent(self) -> bool:
        """True where the message leads to nothing any more, for nobody."""
        return self in _SPENT


_SPENT = frozenset({Abort.CANCELLED, Abort.EXPIRED, Abort.ENDED, Abort.UNKNOWN, Abort.REPLACED})

_ENDS: Mapping[TaskStatus | None, Abort] = {
    TaskStatus.CANCELLED: Abort.CANCELLED,
    TaskStatus.EXPIRED: Abort.EXPIRED,
}
_REFUSALS = {
    Refusal.UNKNOWN: Abort.UNKNOWN,
    Refusal.REPLACED: Abort.REPLACED,
    Refusal.NOT_RUNNING: Abort.NOT_RUNNING,
}


def abort_for(refused: TransitionRefusedError) -> Abort:
    """What a refusal means for the one who holds the task."""
    status = refused.task.status if refused.task is not None else None
    if refused.refusal is Refusal.ENDED:
        return _ENDS.get(status, Abort.ENDED)
    return _REFUSALS.get(refused.refusal, Abort.SUPERSEDED)


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


class Lease:
    """One claimed task, from its claim until it is finished or let go.

    Attributes:
        task: the task as it was claimed.
        delivery: the message that brought it.
        aborted: set once the task is no longer ours.
        reason: why.
        progress: how far the run is (0 to 1); the heartbeat writes it down.
        held: False once the task was let go, in whichever way.
    """

    def __init__(self, custody: Custody, delivery: Delivery, task: Task) -> None:
        self.task = task
        self.delivery = delivery
        self.aborted = asyncio.Event()
        self.reason: Abort | None = None
        self.progress: float | None = None
        self.held = True
        self._custody = custody
        self._extended = time.monotonic()
        self._beat: asyncio.Task[None] | None = None

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin the heartbeat."""
        self._beat = group.create_task(self._keep(), name=f"heartbeat {self.task.key}")

    async def finish(self) -> None:
        """Let go of a task whose end is reported: its message has done its work.

        A message that cannot be deleted comes back; the next claim finds the task ended and deletes it.
        """
        self._stop()
        await _best_effort(self._delete(), "message_not_deleted")

    async def release(self, error: TaskError | None = None, after: float = 0) -> None:
        """Give the task back, to be tried again `after` seconds from now.

        Where the table cannot be reached the lease will run out, and the message is left to come back after it.
        What was let go before is left alone.
        """
        if not self.held:
            return
        self._stop()
        await _best_effort(self._release(error, after), "task_not_released")

    async def abandon(self) -> None:
        """Let go of a task that is no longer ours."""
        self._stop()
        log.info("task_abandoned", reason=self.reason)
        if self.reason is not None and self.reason.message_is_spent:
            await _best_effort(self._delete(), "message_not_deleted")

    def abort(self, reason: Abort) -> None:
        """Tell whoever works on the task to stop. The first reason stays."""
        if self.reason is None:
            log.info("task_lost", reason=reason)
            self.reason = reason
            self.aborted.set()

    def _stop(self) -> None:
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
                log.warning("heartbeat_failed", error=describe(error))
                if self._left() <= 0:
                    self.abort(Abort.LAPSED)

    def _left(self) -> float:
        """Seconds until the lease runs out."""
        return self._extended + self._custody.lease - time.monotonic()

    async def _renew(self) -> None:
        """Look whether the task is still ours; keep it for longer where a third of the lease is over."""
        if self.task.expires_at <= now():
            await self._custody.threads(self._custody.store.apply, self.task.key, tasks.expire(now()))
            self.abort(Abort.EXPIRED)
            return
        change = tasks.extend(now(), self.task.attempt, timedelta(seconds=self._custody.lease), self.progress)
        if self._left() > self._custody.lease * 2 / 3:
            await self._look(change)
            return
        asked = time.monotonic()
        await self._custody.threads(self._custody.store.apply, self.task.key, change)
        self._extended = asked
        with suppress(*AWS_FAULTS, TimeoutError):  # the table decides; a message seen early finds the task leased
            async with asyncio.timeout(self._custody.lease / 6):
                await self._custody.threads(
                    self._custody.inbox.hide, self.delivery, whole_seconds(self._custody.lease)
                )

    async def _look(self, change: Change) -> None:
        """A read costs less than a write, and wakes no stream."""
        task = await self._custody.threads(self._custody.store.get, self.task.key)
        refusal = tasks.check(task, change)
        if refusal is not None:
            raise TransitionRefusedError(refusal, task)

    async def _delete(self) -> None:
        await self._custody.threads(self._custody.inbox.delete, self.delivery)

    async def _release(self, error: TaskError | None, after: float) -> None:
        change = tasks.release(now(), self.task.attempt, error)
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
