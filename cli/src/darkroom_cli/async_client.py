"""The client, for code in an event loop. What each method does stands with `Client`'s of the same name."""

from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from darkroom_cli import calls
from darkroom_cli.access import Access
from darkroom_cli.errors import ApiError
from darkroom_cli.limits import Limits
from darkroom_cli.operations import Finished, Operations, Progress
from darkroom_cli.performers import AsyncPerformer
from darkroom_cli.profiles import find_access
from darkroom_cli.runtimes import Redrive, Runtime
from darkroom_cli.tasks import Filter, Submission, Task

if TYPE_CHECKING:
    from darkroom_cli.batch_clients import AsyncBatches


class AsyncClient:
    """Speaks to one Darkroom, as the owner of one API key; use it in an `async with` statement. See `Client`."""

    def __init__(self, url: str, api_key: str, *, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self._access = Access(url, api_key)
        self._does = Operations(limits)
        self._performer = AsyncPerformer(url, api_key, limits)

    @classmethod
    def from_profile(cls, name: str | None = None, *, limits: Limits | None = None) -> Self:
        """See `Client.from_profile`."""
        access = find_access(name)
        return cls(access.url, access.api_key, limits=limits)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._access})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._performer.close()

    @property
    def batches(self) -> "AsyncBatches":
        """See `Client.batches`."""
        from darkroom_cli.batch_clients import AsyncBatches

        return AsyncBatches(self._performer, self._does)

    async def submit(self, *, key: str | None = None, wait: float = 0, **task: Unpack[Submission]) -> Task:
        """See `Client.submit`."""
        return await self._performer.run(self._does.ask(calls.submit(task, key=key, wait=wait)))

    async def submit_many(self, tasks: Iterable[Submission]) -> Sequence[Task | ApiError]:
        """See `Client.submit_many`."""
        return await self._performer.run(self._does.submit_many(tasks))

    async def get(self, id_: str) -> Task:
        """See `Client.get`."""
        return await self._performer.run(self._does.ask(calls.get(id_)))

    def list(self, *, limit: int | None = None, **which: Unpack[Filter]) -> AsyncIterator[Task]:
        """See `Client.list`."""
        return self._performer.iterate(self._does.list_tasks(which, limit))

    async def wait(self, id_: str, timeout: float | None = None) -> Task:
        """See `Client.wait`."""
        return await self._performer.run(self._does.wait(id_, timeout))

    def watch(self, id_: str, timeout: float | None = None) -> AsyncIterator[Task]:
        """See `Client.watch`."""
        return self._performer.iterate(self._does.watch(id_, timeout))

    async def run(
        self, folder: Path | str = ".", *, timeout: float | None = None, **task: Unpack[Submission]
    ) -> Finished:
        """See `Client.run`."""
        return await self._performer.run(self._does.run(task, Path(folder), timeout))

    async def cancel(self, id_: str) -> Task:
        """See `Client.cancel`."""
        return await self._performer.run(self._does.ask(calls.cancel(id_)))

    async def retry(self, id_: str) -> Task:
        """See `Client.retry`."""
        return await self._performer.run(self._does.ask(calls.retry(id_)))

    async def delete(self, id_: str) -> None:
        """See `Client.delete`."""
        await self._performer.run(self._does.ask(calls.delete(id_)))

    async def upload(self, path: Path | str, progress: Progress | None = None) -> str:
        """See `Client.upload`."""
        return await self._performer.run(self._does.upload(Path(path), progress))

    async def download(self, task: Task | str, folder: Path | str = ".") -> tuple[Path, ...]:
        """See `Client.download`."""
        return await self._performer.run(self._does.download(task, Path(folder)))

    async def preview(self, task: Task) -> bytes | None:
        """See `Client.preview`."""
        return await self._performer.run(self._does.preview(task))

    async def runtimes(self) -> Sequence[Runtime]:
        """See `Client.runtimes`."""
        return await self._performer.run(self._does.ask(calls.list_runtimes()))

    async def runtime(self, name: str) -> Runtime:
        """See `Client.runtime`."""
        return await self._performer.run(self._does.ask(calls.get_runtime(name)))

    async def redrive(self, name: str) -> Redrive:
        """See `Client.redrive`."""
        return await self._performer.run(self._does.ask(calls.redrive(name)))
