"""A clock that jumps from event to event."""

import heapq
from collections.abc import Callable
from itertools import count


class Clock:
    """Runs events in the order of their times; those of one time in the order in which they were planned.

    Attributes:
        now: seconds since the beginning.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, time: float, event: Callable[[], None]) -> None:
        """Plan an event; what would lie in the past happens now."""
        heapq.heappush(self._events, (max(time, self.now), next(self._order), event))

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Plan an event so many seconds from now."""
        self.at(self.now + seconds, event)

    def every(self, seconds: float, event: Callable[[], None], first: float = 0.0) -> None:
        """Plan an event again and again."""

        def again() -> None:
            event()
            self.after(seconds, again)

        self.at(first, again)

    def run(self, until: float, done: Callable[[], bool]) -> None:
        """Run until a time, or until `done` says so after an event."""
        while self._events and self._events[0][0] <= until and not done():
            self.now, _, event = heapq.heappop(self._events)
            event()
