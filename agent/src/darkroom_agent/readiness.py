"""Waiting until the runtime can work."""

import asyncio
import time

from darkroom_agent.drains import Drain
from darkroom_agent.faults import RuntimeBusyError, RuntimeHungError, RuntimeLostError, RuntimeStuckError
from darkroom_agent.flags import Flag, first_of
from darkroom_agent.health import Health
from darkroom_agent.logs import EventLog
from darkroom_agent.runtimes import Runtime

log = EventLog(__name__)

_EVERY = 1.0
_TELL_EVERY = 30.0
_ASK_TIMEOUT = 150.0  # reading the folders of models may take long


class RuntimeNotReadyError(Exception):
    """The runtime did not become ready in time."""


class Readiness:
    """Asks the runtime until it can work. Times are in seconds.

    `timeout` is how long that may take, anew for each wait; `longest_busy`, how long a runtime may be busy with
    what it was told to stop until it counts as hung.

    Attributes:
        runtime: the one that is asked.
        lost: set while the runtime, once ready, is not.
    """

    def __init__(self, runtime: Runtime, health: Health, drain: Drain, timeout: float, longest_busy: float) -> None:
        self.runtime = runtime
        self._health = health
        self._drain = drain
        self._timeout = timeout
        self._longest_busy = longest_busy
        self._busy_since: float | None = None
        self._must_restart = False
        self.lost = Flag()
        self._asking = asyncio.Lock()

    def lose(self, error: RuntimeLostError) -> None:
        """Note that the runtime cannot work; where it hangs, the liveness probe asks for its restart.

        A hung runtime may well say that it is ready: an interrupt made it forget the job, and what should work on
        the next one is as dead as before. So it must have been away.
        """
        self._health.waiting_for = "the runtime, which was lost"
        self._must_restart |= isinstance(error, RuntimeHungError)
        self._health.hung |= isinstance(error, RuntimeHungError | RuntimeStuckError)
        self.lost.set()

    async def wait(self) -> None:
        """Return once the runtime is ready, or a drain begins.

        Raises:
            RuntimeNotReadyError: it takes too long. The agent then ends, and its pod starts it again.
        """
        async with self._asking:
            await self._wait()

    async def _wait(self) -> None:
        started = time.monotonic()
        told: tuple[str, float] = ("", 0)
        while not self._drain.draining.is_set():
            self._health.waiting_for = waiting_for = await self._ask()
            now = time.monotonic()
            if waiting_for is None:
                log.info("runtime_ready", after_seconds=round(now - started, 1))
                self._health.hung = False
                self.lost.clear()
                return
            if now - started > self._timeout:
                raise RuntimeNotReadyError(
                    f"not ready after {self._timeout:g} s; it still waits for: {waiting_for}"
                )
            if waiting_for != told[0] or now - told[1] > _TELL_EVERY:
                log.info("runtime_awaited", waiting_for=waiting_for, for_seconds=round(now - started, 1))
                told = (waiting_for, now)
            await first_of(self._drain.draining, timeout=_EVERY)

    async def _ask(self) -> str | None:
        busy_since, self._busy_since = self._busy_since, None
        try:
            async with asyncio.timeout(_ASK_TIMEOUT):
                waiting_for = await self.runtime.ready()
        except RuntimeBusyError as error:
            self._busy_since = busy_since or time.monotonic()
            if time.monotonic() - self._busy_since > self._longest_busy:
                self.lose(RuntimeHungError("runtime_hung", str(error)))
            return str(error)
        except (RuntimeLostError, TimeoutError) as error:
            is_slow = isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError)
            self._must_restart &= is_slow  # one that is away is started anew
            return f"an answer ({str(error) or f'there was none within {_ASK_TIMEOUT:g} s'})"
        if waiting_for is None and self._must_restart:
            return "its restart: it made no progress, and has answered ever since"
        return waiting_for
