"""When to stop."""

import asyncio
import time

from darkroom_agent.flags import Flag
from darkroom_agent.logs import EventLog

log = EventLog(__name__)


class Drain:
    """Two steps to the end. `grace` is in seconds.

    `draining`: take nothing more; finish what runs. `halted`: the grace is over; let go of everything now.
    `told`: the process was told to end, by a signal; a drain that a notice began still waits for that.
    """

    def __init__(self, grace: float) -> None:
        self.draining = Flag()
        self.halted = Flag()
        self.told = Flag()
        self._grace = grace
        self._ends: float | None = None

    def begin(self) -> None:
        """Start draining, for a signal; at a second one, halt."""
        if self.told.is_set():
            self.halt()
            return
        self.told.set()
        self._start("signal", self._grace)

    def foresee(self, reason: str, seconds: float | None = None) -> None:
        """Start draining, because the machine will go away: in that many seconds, where that is known."""
        self._start(reason, self._grace if seconds is None else min(seconds, self._grace))

    def halt(self) -> None:
        """End the grace."""
        self.told.set()
        self.draining.set()
        self.halted.set()

    def left(self) -> float | None:
        """Seconds of the grace that are left; None where no drain has begun."""
        return None if self._ends is None else max(self._ends - time.monotonic(), 0)

    def _start(self, reason: str, grace: float) -> None:
        """Start the grace, or shorten the one that runs."""
        left = self.left()
        if left is not None and left <= grace:
            return
        log.info("drain_started", reason=reason, grace_seconds=grace)
        self._ends = time.monotonic() + grace
        self.draining.set()
        if grace > 0:
            asyncio.get_running_loop().call_later(grace, self.halted.set)
        else:
            self.halted.set()
