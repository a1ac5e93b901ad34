"""Blocking calls of the AWS adapters, awaited."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

SIZE = 20
"""Threads: more than the uploads, downloads and heartbeats that may be under way at once, so none is late."""


class Threads:
    """A pool of threads of its own: one that others fill up would make heartbeats late."""

    def __init__(self, size: int = SIZE) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="aws")

    async def __call__(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function in a thread.

        Cancelling the wait does not stop the call: it goes on, and nobody hears how it ended.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Take no more calls. Those under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
