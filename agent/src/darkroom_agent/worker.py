"""The loop: one task runs, the last one is delivered, the next one is fetched just in time."""

import asyncio
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass

from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.tasks import Task, Timings
from darkroom_agent import metrics
from darkroom_agent.deliveries import Deliveries, Outcome
from darkroom_agent.drains import Drain
from darkroom_agent.faults import (
    AWS_FAULTS,
    DrainedError,
    GivenUpError,
    RuntimeLostError,
    as_task_error,
    backoff,
    describe,
)
from darkroom_agent.flags import first_of, unless
from darkroom_agent.inputs import Inputs, Prepared
from darkroom_agent.intake import Intake
from darkroom_agent.leases import Custody, Lease
from darkroom_agent.logs import EventLog, bound
from darkroom_agent.pace import Pace
from darkroom_agent.queues import Delivery
from darkroom_agent.readiness import Readiness
from darkroom_agent.runs import Runs
from darkroom_agent.runtimes import Job

log = EventLog(__name__)

LONGEST_RETRY = 60.0
"""Seconds until a task that went wrong here is tried again, at most."""

GIVE_BACKS = 2
"""How often a message may have been received that is given back for an idle agent: each receive uses up one that
the redrive policy allows."""

_POLL_WHILE_BUSY = 1


@dataclass(frozen=True)
class Stages:
    """The parts of a task's way."""

    intake: Intake
    inputs: Inputs
    runs: Runs
    deliveries: Deliveries


@dataclass(frozen=True)
class Held:
    """A claimed task, ready to run."""

    lease: Lease
    inputs: Prepared
    download_seconds: float


@dataclass(frozen=True)
class Schedule:
    """When what is done.

    Attributes:
        pace: says when to fetch the next task.
        drain: says when to stop.
        poll: how many seconds to wait for a message at a time.
        prefetch: fetch the next task while one runs; off, everything is done in order.
    """

    pace: Pace
    drain: Drain
    poll: int
    prefetch: bool = True


class Worker:
    """Leads tasks along the stages."""

    def __init__(self, stages: Stages, custody: Custody, schedule: Schedule, readiness: Readiness) -> None:
        self._stages = stages
        self._custody = custody
        self._pace = schedule.pace
        self._drain = schedule.drain
        self._poll = schedule.poll
        self._prefetch = schedule.prefetch
        self._readiness = readiness
        self._leases: set[Lease] = set()
        self._failures = 0

    async def run(self) -> None:
        """Work until told to drain. On the way out, however it is taken, every task is let go."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._loop(group)
        finally:
            self._stages.intake.close()
            await asyncio.gather(*(self._release(lease) for lease in self._leases))

    async def _loop(self, group: asyncio.TaskGroup) -> None:
        fetch = self._start_fetch(group)
        while True:
            await self._stages.deliveries.room()
            ready = self._pace.in_hand
            self._pace.wanted.set()
            held = await fetch
            if held is None:
                return
            metrics.PREFETCHES.labels("hit" if ready else "miss").inc()
            if self._prefetch:
                fetch = self._start_fetch(group)
            with about(held.lease.task):
                delivery = await self._run(group, held)
            if self._readiness.lost.is_set():
                await self._readiness.wait()
            if not self._prefetch:
                if delivery is not None:
                    await delivery
                fetch = self._start_fetch(group)

    @staticmethod
    async def _release(lease: Lease) -> None:
        with about(lease.task):
            await lease.release()

    def _start_fetch(self, group: asyncio.TaskGroup) -> asyncio.Task[Held | None]:
        return group.create_task(self._next(group), name="fetch the next task")

    async def _next(self, group: asyncio.TaskGroup) -> Held | None:
        """The next task, fetched when it is due and handed over when it is wanted; None when draining."""
        while True:
            await self._pace.due(self._drain.draining)
            if self._drain.draining.is_set():
                self._stages.intake.close()
                return None
            if self._readiness.lost.is_set():  # while an answer was read: no run tells of it
                # what runs goes on: asked whether it is ready, the runtime would be told to stop it
                await first_of(self._pace.wanted, self._drain.draining)
                await self._readiness.wait()
                continue
            asked = time.monotonic()
            delivery = await self._receive()
            if delivery is None:
                continue
            began = time.monotonic()
            # a request that waited for a message tells how empty the queue is, not how slow
            receiving = began - asked if began - asked < _POLL_WHILE_BUSY / 2 else 0
            task = await self._stages.intake.claim(delivery)
            if task is None:
                continue
            with about(task):
                lease = self._hold(group, delivery, task)
                log.info("task_claimed", type=task.type, receives=delivery.receives)
                held = await self._prepare(group, lease)
                self._pace.fetched(receiving + time.monotonic() - began)
                if held is not None and await self._is_wanted(lease):
                    return held

    async def _receive(self) -> Delivery | None:
        busy = not self._pace.wanted.is_set()
        try:
            delivery = await self._stages.intake.receive(min(_POLL_WHILE_BUSY, self._poll) if busy else self._poll)
        except AWS_FAULTS as error:
            self._failures += 1
            metrics.RETRIES.labels("receive").inc()
            log.warning("receive_failed", error=describe(error))
            await first_of(self._drain.draining, timeout=backoff(self._failures))
            return None
        self._failures = 0
        if delivery is not None and (self._drain.draining.is_set() or self._readiness.lost.is_set()):
            await self._stages.intake.put_back(delivery, 0)
            return None
        return delivery

    def _hold(self, group: asyncio.TaskGroup, delivery: Delivery, task: Task) -> Lease:
        lease = Lease(self._custody, delivery, task)
        lease.start(group)
        self._leases = {held for held in self._leases if held.held} | {lease}
        return lease

    async def _prepare(self, group: asyncio.TaskGroup, lease: Lease) -> Held | None:
        started = time.monotonic()
        events = (lease.aborted, self._drain.draining, self._readiness.lost)
        try:
            name = f"inputs {lease.task.key}"
            with lease.phase("download"):
                inputs = await unless(self._stages.inputs.prepare(lease.task), *events, name=name)
        except GivenUpError:
            await self._let_go(lease)
        except TaskFailedError as error:
            log.info("task_failed", type=error.type, error=describe(error))
            timings = Timings(download=time.monotonic() - started)
            self._stages.deliveries.start(group, lease, as_task_error(error), timings)
        except TaskInterruptedError as error:
            await self._put_off(lease, error)
        except Exception:
            log.exception("agent_fault")
            await self._put_off(lease, _bug())
        else:
            return Held(lease, inputs, time.monotonic() - started)
        return None

    async def _is_wanted(self, lease: Lease) -> bool:
        """Wait in hand until the runtime is free, unless something takes the task away.

        Where the running task takes much longer than expected it is given back, so that an idle agent can run it.
        """
        events = (self._drain.draining, self._readiness.lost, lease.aborted)
        if not await self._pace.free(*events):
            if lease.delivery.receives <= GIVE_BACKS:
                metrics.PREFETCHES.labels("given_back").inc()
                log.info("task_given_back")
                await lease.release()
                return False
            await first_of(self._pace.wanted, *events)
        if self._pace.wanted.is_set() and not any(event.is_set() for event in events):
            return True
        await self._let_go(lease)
        return False

    async def _run(self, group: asyncio.TaskGroup, held: Held) -> asyncio.Task[None] | None:
        """Run the task and start its delivery; None where it is let go instead."""
        lease, task = held.lease, held.lease.task
        started = time.monotonic()
        outcome: Outcome
        try:
            job = Job(task.type, held.inputs.content, task.model, task.id, held.inputs.files)
            with lease.phase("run"):
                outcome = await self._stages.runs.run(lease, job)
        except TaskFailedError as error:
            log.info("task_failed", type=error.type, error=describe(error))
            outcome = as_task_error(error)
        except GivenUpError:
            await lease.abandon()
            return None
        except TaskInterruptedError as error:
            if isinstance(error, RuntimeLostError):
                self._readiness.lose(error)
            await self._put_off(lease, error)
            return None
        except Exception:
            log.exception("agent_fault")
            await self._put_off(lease, _bug())
            return None
        timings = Timings(download=held.download_seconds, run=time.monotonic() - started)
        return self._stages.deliveries.start(group, lease, outcome, timings)

    async def _let_go(self, lease: Lease) -> None:
        """Let go of a task that has not begun to run, for a reason that lies not in it."""
        if lease.aborted.is_set():
            await lease.abandon()
        else:
            await lease.release()

    async def _put_off(self, lease: Lease, error: TaskInterruptedError) -> None:
        """Have the task tried again later; at once, where only this agent ends."""
        if lease.aborted.is_set() or self._drain.halted.is_set() or isinstance(error, DrainedError):
            await self._let_go(lease)
            return
        log.warning("task_interrupted", type=error.type, error=describe(error))
        await lease.release(as_task_error(error), backoff(lease.delivery.receives, 1, LONGEST_RETRY))


def about(task: Task) -> AbstractContextManager[None]:
    """What is logged inside is about the task."""
    return bound(task=str(task.key), attempt=task.attempt)


def _bug() -> TaskInterruptedError:
    """What a fault of our own means for a task. Its message comes back some times, then ends as a dead letter."""
    return TaskInterruptedError("internal_error", "the agent had a fault of its own")
