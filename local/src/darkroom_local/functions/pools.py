"""The processes of one function, started on demand and kept while they are of use."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from darkroom_local.functions.invocations import Invocation, Limits, ThrottledError
from darkroom_local.functions.processes import InitError, Process, ProcessGoneError
from darkroom_local.resources import Function

StartProcess = Callable[[Function], Awaitable[Process]]


class Pool:
    """Runs a function's invocations, each in a process that does nothing else meanwhile.

    `start` starts a process. The process last used is the first used again, so that the others fall idle and end.
    """

    def __init__(self, function: Function, *, start: StartProcess, limits: Limits) -> None:
        self.function = function
        self._start = start
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.processes)
        self._in_flight = 0
        self._idle: list[Process] = []
        self._all: set[Process] = set()

    async def invoke(self, request_id: str, payload: bytes) -> Invocation:
        """Run one invocation, in an idle process or a new one.

        Raises:
            ThrottledError: `reserved_concurrency` invocations are under way.
        """
        reserved = self.function.reserved_concurrency
        if reserved is not None and self._in_flight >= reserved:
            raise ThrottledError("Rate Exceeded.")
        self._in_flight += 1
        try:
            async with self._slots:
                return await self._run(request_id, payload)
        finally:
            self._in_flight -= 1

    async def reap(self) -> None:
        """End the processes that were idle for longer than `idle_seconds`, or died."""
        earliest = time.monotonic() - self._limits.idle_seconds
        leaving = [process for process in self._idle if not process.alive or process.idle_since < earliest]
        self._idle = [process for process in self._idle if process not in leaving]
        await self._stop(leaving, grace=self._limits.stop_seconds)

    async def close(self) -> None:
        """End every process, busy ones included."""
        self._idle.clear()
        await self._stop(list(self._all), grace=self._limits.stop_seconds)

    async def _run(self, request_id: str, payload: bytes) -> Invocation:
        while True:
            try:
                process = self._idle.pop() if self._idle else await self._new()
            except InitError as error:
                return error.invocation
            try:
                invocation = await process.run(request_id, payload)
            except ProcessGoneError:  # an idle one that died: the invocation never reached it
                await self._stop([process], grace=0)
                continue
            if process.alive:
                self._idle.append(process)
            else:
                await self._stop([process], grace=0)
            return invocation

    async def _new(self) -> Process:
        process = await self._start(self.function)
        self._all.add(process)
        return process

    async def _stop(self, processes: list[Process], *, grace: float) -> None:
        self._all.difference_update(processes)
        await asyncio.gather(*(process.stop(grace=grace) for process in processes))
