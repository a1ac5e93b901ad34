"""One run on the runtime, watched: cancelled tasks, limits of time, hung runtimes, a drain that is too short."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from darkroom.errors import ExecutionError, TaskFailedError
from darkroom_agent import metrics
from darkroom_agent.drains import Drain
from darkroom_agent.faults import (
    DrainedError,
    GivenUpError,
    RuntimeHungError,
    RuntimeLostError,
    RuntimeStuckError,
    describe,
)
from darkroom_agent.flags import Flag, cancel, watch
from darkroom_agent.leases import Lease
from darkroom_agent.logs import EventLog
from darkroom_agent.pace import Pace
from darkroom_agent.previews import Previews
from darkroom_agent.readiness import Readiness
from darkroom_agent.runtimes import Job, Outputs

log = EventLog(__name__)

INTERRUPT_SECONDS = 30.0
"""How long an interrupted run may take to end until the runtime counts as stuck: SD WebUI ends at its next step."""

LAST_INTERRUPT_SECONDS = 3.0
"""Likewise when the agent itself must end: the task counts for more than an orderly runtime."""

HEAD_START = 0.02
"""Seconds until the last job's answer is read and delivered, where another job is in hand: to send that one comes
first, and takes much longer where the processor has other things to do."""

_INTERRUPT_AGAIN = 1.0
_FORESEE_EVERY = 1.0

_PROGRESS_EVERY = 2.0
"""Seconds: twice as often as a heartbeat writes it down. Each time takes the runtime from its work, too."""


@dataclass(frozen=True)
class RunLimits:
    """Times in seconds: of one whole run, and of a run without progress."""

    whole: float
    stall: float


class Runs:
    """Runs jobs, one at a time."""

    def __init__(
        self, readiness: Readiness, limits: RunLimits, drain: Drain, pace: Pace, previews: Previews | None = None
    ) -> None:
        self._runtime = readiness.runtime
        self._readiness = readiness
        self._limits = limits
        self._drain = drain
        self._pace = pace
        self._previews = previews

    async def run(self, lease: Lease, job: Job) -> asyncio.Task[Outputs]:
        """Run a job for the task that is held, until the runtime is free for the next one.

        Returns:
            What the run came to. It may still be read from the runtime, and fail by that as a run may.

        Raises:
            TaskFailedError: the runtime said no, or it took too long.
            TaskInterruptedError: the runtime was lost or hangs, or the agent must end.
            GivenUpError: the task is no longer ours.
        """
        self._pace.start(lease.task)
        metrics.GPU.start()
        handed_over = Flag()

        async def hand_over() -> None:
            handed_over.set()
            if self._pace.in_hand:
                await asyncio.sleep(HEAD_START)

        work = asyncio.create_task(
            self._runtime.run(replace(job, hand_over=hand_over)), name=f"run {lease.task.key}"
        )
        stalled, hopeless = Flag(), Flag()
        follow = asyncio.create_task(self._follow(lease, stalled), name=f"progress {lease.task.key}")
        foresee = asyncio.create_task(self._foresee(hopeless), name="drain is too short")
        beside = [follow, foresee]
        if self._previews is not None:
            beside.append(asyncio.create_task(self._previews.follow(lease), name=f"preview {lease.task.key}"))
        whole = False
        try:
            with watch(handed_over, lease.aborted, self._drain.halted, hopeless, stalled) as stop:
                ends: set[asyncio.Future[Any]] = {work, follow, stop}
                await asyncio.wait(ends, timeout=self._limits.whole, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not handed_over.is_set():
                await self._interrupt(work)
                if follow.done():
                    follow.result()
                raise self._why(lease, hopeless, stalled)
            if work.done():
                work.result()
            whole = True
            return work
        finally:
            self._pace.stop(whole=whole)
            metrics.GPU.stop()
            await cancel(*beside, *(() if whole else (work,)))

    def _why(self, lease: Lease, hopeless: Flag, stalled: Flag) -> Exception:
        if lease.aborted.is_set():
            return GivenUpError(f"the task is {lease.reason}")
        if self._drain.halted.is_set():
            return DrainedError("drained", "the agent had to end")
        if hopeless.is_set():
            return DrainedError("drained", "the agent must end before the run would")
        if stalled.is_set():
            return self._hung()
        return TaskFailedError("timeout", f"the run took longer than {self._limits.whole:g} s")

    def _hung(self) -> RuntimeHungError:
        return RuntimeHungError("runtime_hung", f"no progress for {self._limits.stall:g} s")

    async def _interrupt(self, work: asyncio.Task[Outputs]) -> None:
        """Interrupt until the run has ended: an interrupt that comes before the job has begun is forgotten.

        One under way is waited for, since it would meet the next job.
        """
        started = time.monotonic()
        ask: asyncio.Task[None] | None = None
        try:
            while not work.done():
                limit = LAST_INTERRUPT_SECONDS if self._drain.halted.is_set() else INTERRUPT_SECONDS
                if time.monotonic() - started > limit:
                    if not self._drain.halted.is_set():
                        log.error("runtime_stuck", after_seconds=limit)
                        self._readiness.lose(RuntimeStuckError("runtime_stuck", "it does not stop"))
                    return
                if ask is None or ask.done():
                    ask = asyncio.create_task(self._ask_to_stop(), name="interrupt")
                await asyncio.wait({work}, timeout=_INTERRUPT_AGAIN)
        finally:
            if ask is not None:
                await asyncio.wait({ask}, timeout=0 if self._drain.halted.is_set() else LAST_INTERRUPT_SECONDS)
                await cancel(ask)

    async def _ask_to_stop(self) -> None:
        with suppress(ExecutionError):
            await self._runtime.interrupt()

    async def _foresee(self, hopeless: Flag) -> None:
        """Once a drain has begun, look whether the run can end within its grace: if not, every second is lost."""
        await self._drain.draining.wait()
        while not hopeless.is_set():
            remaining, left = self._pace.remaining(), self._drain.left()
            if remaining is not None and left is not None and remaining > left:
                log.info("drain_too_short", remaining_seconds=round(remaining, 1), left_seconds=round(left, 1))
                hopeless.set()
            await asyncio.sleep(_FORESEE_EVERY)

    async def _follow(self, lease: Lease, stalled: Flag) -> None:
        """Follow the run's progress. A runtime that answers, but does not say how far it is, does not stall."""
        moved = time.monotonic()
        while time.monotonic() - moved < self._limits.stall:
            await asyncio.sleep(_PROGRESS_EVERY)
            try:
                async with asyncio.timeout(self._limits.stall):
                    progress = await self._runtime.progress()
            except (RuntimeLostError, TimeoutError) as error:
                log.debug("progress_unknown", error=describe(error))
                continue
            except ExecutionError as error:  # an answer all the same, and no end of the run
                log.debug("progress_unknown", error=describe(error))
                progress = None
            if progress is None or progress != lease.progress:
                moved = time.monotonic()
            if progress is not None:
                lease.progress = progress
                self._pace.advance(progress)
        log.error("runtime_stalled", progress=lease.progress)
        self._readiness.lose(self._hung())  # from here on, though it may yet take a while to end the run
        stalled.set()
