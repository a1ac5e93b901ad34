"""When to stop."""

import asyncio

from darkroom_agent.logs import EventLog

log = EventLog(__name__)


class Drain:
    """Two steps to the end.

    `draining`: take nothing more; finish what runs. `halted`: the grace is over; let go of everything now.
    """

    def __init__(self, grace: float) -> None:
        self.draining = asyncio.Event()
        self.halted = asyncio.Event()
        self._grace = grace

    def begin(self) -> None:
        """Start draining; asked a second time, halt."""
        if self.draining.is_set():
            self.halt()
            return
        log.info("drain_started", grace_seconds=self._grace)
        self.draining.set()
        if self._grace > 0:
            asyncio.get_running_loop().call_later(self._grace, self.halt)
        else:
            self.halt()

    def halt(self) -> None:
        """End the grace."""
        self.draining.set()
        self.halted.set()
