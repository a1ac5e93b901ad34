"""The client, for code that waits for its answers."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from darkroom_cli import calls
from darkroom_cli.access import Access
from darkroom_cli.errors import ApiError
from darkroom_cli.limits import Limits
from darkroom_cli.operations import Finished, Operations, Progress
from darkroom_cli.performers import Performer
from darkroom_cli.profiles import find_access
from darkroom_cli.runtimes import Redrive, Runtime
from darkroom_cli.tasks import Filter, Submission, Task

if TYPE_CHECKING:
    from darkroom_cli.batch_clients import Batches


class Client:
    """Speaks to one Darkroom, as the owner of one API key.

    Use it in a `with` statement, or call `close`. It may be shared between threads.

    Args:
        url: the API's address, its stage included (`https://….execute-api.eu-west-1.amazonaws.com/prod`).
        api_key: the key; it is sent to the API alone.
        limits: time limits, retries, polling.

    Raises:
        ConfigurationError: the address or the key cannot be one.
    """

    def __init__(self, url: str, api_key: str, *, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self._access = Access(url, api_key)
        self._does = Operations(limits)
        self._performer = Performer(url, api_key, limits)

    @classmethod
    def from_profile(cls, name: str | None = None, *, limits: Limits | None = None) -> Self:
        """A client of a profile's Darkroom.

        Without a name: the one of DARKROOM_URL and DARKROOM_API_KEY, else the profile that DARKROOM_PROFILE names,
        else the one in use (`darkroom config use`), else the local cloud.

        Raises:
            ConfigurationError: there is no such profile, or it leads nowhere.
        """
        access = find_access(name)
        return cls(access.url, access.api_key, limits=limits)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._access})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._performer.close()

    @property
    def batches(self) -> "Batches":
        """Batches: up to 100,000 tasks, or runs of a pipeline, from one file."""
        from darkroom_cli.batch_clients import Batches

        return Batches(self._performer, self._does)

    def submit(self, *, key: str | None = None, wait: float = 0, **task: Unpack[Submission]) -> Task:
        """Ask for a task.

        Args:
            key: the idempotency key, for who repeats a submission in another process; made up otherwise.
            wait: for how many seconds, at most 25, the answer may be held back until the task has ended.
            **task: see `Submission`.

        Raises:
            InvalidRequestError: the request has to be mended; `fields` says where.
            ConflictError: the id, or the key, is taken by another request.
        """
        return self._performer.run(self._does.ask(calls.submit(task, key=key, wait=wait)))

    def submit_many(self, tasks: Iterable[Submission]) -> Sequence[Task | ApiError]:
        """Ask for any number of tasks; each is accepted or refused for itself, in order."""
        return self._performer.run(self._does.submit_many(tasks))

    def get(self, id_: str) -> Task:
        """Look at a task.

        Raises:
            NotFoundError: this key has no such task.
        """
        return self._performer.run(self._does.ask(calls.get(id_)))

    def list(self, *, limit: int | None = None, **which: Unpack[Filter]) -> Iterator[Task]:
        """Iterate over the tasks that fit, newest first; pages are fetched as they are needed."""
        return self._performer.iterate(self._does.list_tasks(which, limit))

    def wait(self, id_: str, timeout: float | None = None) -> Task:
        """Wait until a task has ended, however it ends.

        Raises:
            WaitTimeoutError: it has not after `timeout` seconds.
        """
        return self._performer.run(self._does.wait(id_, timeout))

    def watch(self, id_: str, timeout: float | None = None) -> Iterator[Task]:
        """Iterate over a task's changes, from how it stands now to its end.

        Raises:
            WaitTimeoutError: it has not ended after `timeout` seconds.
        """
        return self._performer.iterate(self._does.watch(id_, timeout))

    def run(
        self, folder: Path | str = ".", *, timeout: float | None = None, **task: Unpack[Submission]
    ) -> Finished:
        """Submit a task, wait for it, and download its images into a folder.

        Raises:
            TaskNotSucceededError: it ended otherwise.
            WaitTimeoutError: it has not ended after `timeout` seconds.
        """
        return self._performer.run(self._does.run(task, Path(folder), timeout))

    def cancel(self, id_: str) -> Task:
        """End a task; one that has ended stays as it is."""
        return self._performer.run(self._does.ask(calls.cancel(id_)))

    def retry(self, id_: str) -> Task:
        """Run a task that failed, was cancelled or expired once more, under the same id.

        Raises:
            ConflictError: it has not ended, or it has succeeded.
        """
        return self._performer.run(self._does.ask(calls.retry(id_)))

    def delete(self, id_: str) -> None:
        """Remove a task's record and its outputs.

        Raises:
            ConflictError: it has not ended.
        """
        self._performer.run(self._does.ask(calls.delete(id_)))

    def upload(self, path: Path | str, progress: Progress | None = None) -> str:
        """Put a file where contents can name it; returns its `s3://` link.

        Args:
            path: the file; above 64 MB it travels in parts, side by side.
            progress: hears how many bytes have gone, and of how many. May be called from other threads.

        Raises:
            TransferError: the file cannot be read, or was refused.
        """
        return self._performer.run(self._does.upload(Path(path), progress))

    def download(self, task: Task | str, folder: Path | str = ".") -> tuple[Path, ...]:
        """Fetch a task's images, side by side; each file appears whole or not at all.

        Raises:
            TaskNotSucceededError: the task has no images: it has not ended, or not so.
            TransferError: a file could not be fetched or written.
        """
        return self._performer.run(self._does.download(task, Path(folder)))

    def preview(self, task: Task) -> bytes | None:
        """What a running task shows so far, as an image; None where it shows nothing."""
        return self._performer.run(self._does.preview(task))

    def runtimes(self) -> Sequence[Runtime]:
        """The runtimes, and how each fares."""
        return self._performer.run(self._does.ask(calls.list_runtimes()))

    def runtime(self, name: str) -> Runtime:
        """One runtime, and how it fares.

        Raises:
            NotFoundError: there is none of that name.
        """
        return self._performer.run(self._does.ask(calls.get_runtime(name)))

    def redrive(self, name: str) -> Redrive:
        """Put a runtime's dead letters back into its queue. Takes an operator's key."""
        return self._performer.run(self._does.ask(calls.redrive(name)))
