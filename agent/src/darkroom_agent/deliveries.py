"""What happens after a run: read the answer, upload, report, delete the message. The runtime works on meanwhile."""

import asyncio
import time
from typing import TypeAlias

from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.messages import TaskResult
from darkroom.tasks import TaskError, Timings
from darkroom_agent import metrics
from darkroom_agent.drains import Drain
from darkroom_agent.faults import (
    AWS_FAULTS,
    GivenUpError,
    RuntimeLostError,
    as_task_error,
    backoff,
    describe,
    is_passing,
)
from darkroom_agent.flags import cancel, unless
from darkroom_agent.leases import Lease
from darkroom_agent.logs import EventLog
from darkroom_agent.outputs import OutputStore, Stored
from darkroom_agent.queues import ResultQueue
from darkroom_agent.readiness import Readiness
from darkroom_agent.runtimes import Outputs
from darkroom_agent.threads import Threads

log = EventLog(__name__)

AT_ONCE = 3
"""Tasks in delivery. With more, the network is slower than the runtime, and the runtime waits."""

Outcome: TypeAlias = asyncio.Task[Outputs] | TaskError
"""Of a run: what it made, which may still be read, or why it failed."""


class Deliveries:
    """Brings what runs came to where it belongs."""

    def __init__(
        self, outputs: OutputStore, results: ResultQueue, threads: Threads, drain: Drain, readiness: Readiness
    ) -> None:
        self._outputs = outputs
        self._results = results
        self._threads = threads
        self._drain = drain
        self._readiness = readiness
        self._under_way = 0
        self._changed = asyncio.Event()

    async def room(self) -> None:
        """Wait until one more delivery may begin."""
        while self._under_way >= AT_ONCE:
            self._changed.clear()
            await self._changed.wait()

    def start(
        self, group: asyncio.TaskGroup, lease: Lease, outcome: Outcome, timings: Timings
    ) -> asyncio.Task[None]:
        """Begin to deliver one outcome. Whatever happens, the task is let go in the end."""
        self._under_way += 1  # here, not in the new asyncio task: who asks for room next must see it
        work = self._let_go_after(lease, outcome, timings)
        return group.create_task(work, name=f"deliver {lease.task.key}")

    async def _let_go_after(self, lease: Lease, outcome: Outcome, timings: Timings) -> None:
        name = f"delivery {lease.task.key}"
        try:
            work = self._deliver(lease, outcome, timings)
            reported = await unless(work, lease.aborted, self._drain.halted, name=name)
        except GivenUpError:
            if lease.aborted.is_set():
                await lease.abandon()
            else:
                await lease.release()
        except TaskInterruptedError as error:
            log.warning("task_interrupted", type=error.type, error=describe(error))
            if isinstance(error, RuntimeLostError):
                self._readiness.lose(error)
            await lease.release(as_task_error(error), backoff(lease.delivery.receives, 1, 60))
        except Exception:
            log.exception("delivery_broke")
            bug = TaskInterruptedError("internal_error", "the agent could not deliver the outputs")
            await lease.release(as_task_error(bug), backoff(lease.delivery.receives, 1, 60))
        else:
            await lease.finish(reported)
        finally:
            if isinstance(outcome, asyncio.Task):
                await cancel(outcome)
            self._under_way -= 1
            self._changed.set()

    async def _deliver(self, lease: Lease, outcome: Outcome, timings: Timings) -> str:
        """Upload and report; returns how the task ended."""
        task = lease.task
        started = time.monotonic()
        stored = None
        came_to = await self._read(lease, outcome) if isinstance(outcome, asyncio.Task) else outcome
        if isinstance(came_to, Outputs):
            with lease.phase("upload"):
                stored = await self._upload(lease, came_to)
        result = TaskResult(
            owner=task.owner,
            id=task.id,
            submission=task.created_at,
            attempt=task.attempt,
            outcome="succeeded" if stored else "failed",
            images=stored.images if stored else (),
            output_url=stored.output_url if stored else None,
            error=came_to if isinstance(came_to, TaskError) else None,
            timings=timings.model_copy(update={"upload": time.monotonic() - started if stored else 0}),
        )
        with lease.phase("report"):
            await self._report(lease, result)
        log.info("task_reported", outcome=result.outcome, images=len(result.images), error=_type(result.error))
        return result.outcome

    async def _read(self, lease: Lease, run: asyncio.Task[Outputs]) -> Outputs | TaskError:
        """What a run came to, once its answer is read.

        Raises:
            TaskInterruptedError: the runtime did not give it.
        """
        try:
            with lease.phase("read"):
                return await run
        except TaskFailedError as error:
            log.info("task_failed", type=error.type, error=describe(error))
            return as_task_error(error)

    async def _upload(self, lease: Lease, outputs: Outputs) -> Stored:
        """Upload, again and again while S3 fails: the runtime's work is worth more than the wait.

        Raises:
            TaskInterruptedError: S3 refuses, and will again.
        """
        outputs = await self._outputs.convert(lease.task, outputs)
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._outputs.store(lease.task, outputs)
            except AWS_FAULTS as error:
                if not is_passing(error):
                    raise TaskInterruptedError("upload_refused", describe(error)) from error
                metrics.RETRIES.labels("upload").inc()
                log.warning("upload_failed", attempt=attempt, error=describe(error))
            await asyncio.sleep(backoff(attempt))

    async def _report(self, lease: Lease, result: TaskResult) -> None:
        """Report until it is reported: an end that nobody hears of is none."""
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._threads(self._results.send, result, lease.delivery.trace)
            except AWS_FAULTS as error:
                metrics.RETRIES.labels("report").inc()
                log.warning("report_failed", attempt=attempt, error=describe(error))
            else:
                return
            await asyncio.sleep(backoff(attempt))


def _type(error: TaskError | None) -> str | None:
    return error.type if error else None
