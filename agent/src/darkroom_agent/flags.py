"""Waiting for the first of many events.

`asyncio.Event` takes an asyncio task for each wait. With half a dozen events to watch at every step of a task's way
these cost as much as a call of AWS; a `Flag` tells whoever watches it by one future for all of them.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from darkroom_agent.faults import GivenUpError

T = TypeVar("T")

Watch = asyncio.Future[None]
"""Done as soon as one of some flags is set."""


class Flag(asyncio.Event):
    """An `asyncio.Event` that can be watched together with others."""

    def __init__(self) -> None:
        super().__init__()
        self._watches: set[Watch] = set()

    def set(self) -> None:
        """See `asyncio.Event.set`."""
        super().set()
        for found in self._watches:
            _settle(found)

    def tell(self, found: Watch) -> None:
        """Settle a watch once the flag is set."""
        self._watches.add(found)
        if self.is_set():
            _settle(found)

    def forget(self, found: Watch) -> None:
        """Leave a watch alone from now on."""
        self._watches.discard(found)


def _settle(found: Watch) -> None:
    if not found.done():
        found.set_result(None)


@contextmanager
def watch(*flags: Flag) -> Iterator[Watch]:
    """A future for the length of a `with` statement, done as soon as one of the flags is set."""
    found = asyncio.get_running_loop().create_future()
    try:
        for flag in flags:
            flag.tell(found)
        yield found
    finally:
        for flag in flags:
            flag.forget(found)


async def first_of(*flags: Flag, timeout: float | None = None) -> None:  # noqa: ASYNC109  asyncio.wait's own
    """Return as soon as one of the flags is set, or the time (in seconds) is over."""
    with watch(*flags) as found:
        if not found.done():
            await asyncio.wait({found}, timeout=timeout)


async def unless(work: Coroutine[Any, Any, T], *flags: Flag, name: str) -> T:
    """Do the work, but give it up as soon as one of the flags is set.

    Raises:
        GivenUpError: one was. The work has been cancelled.
    """
    task = asyncio.create_task(work, name=name)
    try:
        with watch(*flags) as found:
            either: set[asyncio.Future[Any]] = {task, found}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise GivenUpError
    finally:
        await cancel(task)


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended, however they do."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
