"""Batches through the API: `Client.batches` and `AsyncClient.batches`."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from darkroom_cli.batch_flows import BatchFlows
from darkroom_cli.batches import Batch, BatchSubmission
from darkroom_cli.operations import Operations, Progress

if TYPE_CHECKING:
    from darkroom_cli.performers import AsyncPerformer, Performer


class Batches:
    """Up to 100,000 tasks, or runs of a pipeline, from one file. See docs/batches.md."""

    def __init__(self, performer: "Performer", does: Operations) -> None:
        self._performer = performer
        self._flows = BatchFlows(does)

    def submit(
        self, manifest: Path | str, *, progress: Progress | None = None, **asked: Unpack[BatchSubmission]
    ) -> Batch:
        """Submit a batch.

        Args:
            manifest: a file on this machine, which is uploaded, or an `s3://` link.
            progress: hears how many bytes of the file have gone, and of how many.
            **asked: see `BatchSubmission`.

        Raises:
            InvalidRequestError: the request has to be mended; `fields` says where.
            ConflictError: the id is taken by another batch.
            TransferError: the file cannot be read, or was refused.
        """
        return self._performer.run(self._flows.submit(manifest, asked, progress))

    def get(self, id_: str) -> Batch:
        """Look at a batch.

        Raises:
            NotFoundError: this key has no such batch.
        """
        return self._performer.run(self._flows.get(id_))

    def list(self, *, limit: int | None = None) -> Iterator[Batch]:
        """Iterate over batches, newest first; pages are fetched as they are needed."""
        return self._performer.iterate(self._flows.list(limit))

    def watch(self, id_: str, timeout: float | None = None) -> Iterator[Batch]:
        """Iterate over a batch's progress, from how it stands now to its end.

        Raises:
            WaitTimeoutError: it has not ended after `timeout` seconds.
        """
        return self._performer.iterate(self._flows.follow(id_, timeout))

    def wait(self, id_: str, timeout: float | None = None) -> Batch:
        """Wait until a batch has ended, however it ends.

        Raises:
            WaitTimeoutError: it has not after `timeout` seconds.
        """
        return self._performer.run(self._flows.follow(id_, timeout))

    def cancel(self, id_: str) -> Batch:
        """Cancel a batch and what it has running; one that has ended stays as it is."""
        return self._performer.run(self._flows.cancel(id_))

    def retry(self, id_: str) -> Batch:
        """Run the rows of a batch that have not succeeded.

        Raises:
            ConflictError: it runs, or has succeeded, or is still being cancelled.
        """
        return self._performer.run(self._flows.retry(id_))

    def download(self, batch: Batch | str, target: Path | str, *, failures: bool = False) -> Path:
        """Fetch a batch's results, or its failures, into a file of JSON Lines.

        Raises:
            TransferError: there are none yet, or they could not be fetched or written.
        """
        return self._performer.run(self._flows.download(batch, Path(target), failures=failures))


class AsyncBatches:
    """See `Batches`."""

    def __init__(self, performer: "AsyncPerformer", does: Operations) -> None:
        self._performer = performer
        self._flows = BatchFlows(does)

    async def submit(
        self, manifest: Path | str, *, progress: Progress | None = None, **asked: Unpack[BatchSubmission]
    ) -> Batch:
        """See `Batches.submit`."""
        return await self._performer.run(self._flows.submit(manifest, asked, progress))

    async def get(self, id_: str) -> Batch:
        """See `Batches.get`."""
        return await self._performer.run(self._flows.get(id_))

    def list(self, *, limit: int | None = None) -> AsyncIterator[Batch]:
        """See `Batches.list`."""
        return self._performer.iterate(self._flows.list(limit))

    def watch(self, id_: str, timeout: float | None = None) -> AsyncIterator[Batch]:
        """See `Batches.watch`."""
        return self._performer.iterate(self._flows.follow(id_, timeout))

    async def wait(self, id_: str, timeout: float | None = None) -> Batch:  # noqa: ASYNC109  as `Batches`' is called
        """See `Batches.wait`."""
        return await self._performer.run(self._flows.follow(id_, timeout))

    async def cancel(self, id_: str) -> Batch:
        """See `Batches.cancel`."""
        return await self._performer.run(self._flows.cancel(id_))

    async def retry(self, id_: str) -> Batch:
        """See `Batches.retry`."""
        return await self._performer.run(self._flows.retry(id_))

    async def download(self, batch: Batch | str, target: Path | str, *, failures: bool = False) -> Path:
        """See `Batches.download`."""
        return await self._performer.run(self._flows.download(batch, Path(target), failures=failures))
