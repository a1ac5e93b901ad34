"""What batches need of the world beside the ports of tasks and pipelines."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Protocol

from darkroom.batches import Batch, BatchEnd, BatchKey, Counts, RowFailure, RowRecord
from darkroom.listings import Position


class BatchStore(Protocol):
    """The batches, and the truth about them."""

    def create(self, batch: Batch) -> Batch:
        """Add a batch. Where there is one of that id with the same fingerprint, that one is returned.

        Raises:
            BatchConflictError: there is another one of that id.
        """

    def get(self, key: BatchKey) -> Batch | None:
        """The batch as it is now, or None."""

    def page(self, owner: str, limit: int, after: Position | None = None) -> list[Batch]:
        """The owner's next batches, newest first. An index may lag."""

    def set_rows(self, key: BatchKey, run: int, rows: int) -> bool:
        """Write how many rows the manifest has. Returns False where that run is not on."""

    def end(self, key: BatchKey, run: int, end: BatchEnd) -> bool:
        """End a run. Returns False where it has ended before, or another run is on."""

    def settle(self, key: BatchKey, run: int, counts: Counts, failures: tuple[RowFailure, ...]) -> bool:
        """Write the counts of a run that has ended. Returns False where they are there, or another run is on."""

    def restart(self, key: BatchKey, now: datetime, expires_at: datetime) -> Batch:
        """Begin another run of a batch that failed or was cancelled.

        Raises:
            BatchNotFoundError: there is none.
            BatchStateError: it runs, or has succeeded, or its rows have not all come to rest.
        """

    def put_row(self, batch: Batch, record: RowRecord) -> None:
        """Write how a row stands."""

    def row(self, key: BatchKey, row: int) -> RowRecord | None:
        """How a row stands, or None where it has not begun."""

    def rows(self, key: BatchKey) -> Iterator[RowRecord]:
        """All rows that have begun, by number."""

    def running(self, key: BatchKey) -> Iterator[RowRecord]:
        """The rows that run."""

    def failures(self, key: BatchKey, run: int, limit: int) -> list[RowFailure]:
        """The first rows that failed in a run. An index may lag."""


class RowFiles(Protocol):
    """Files by link (`s3://bucket/key`) that are too large to be held at once."""

    def size(self, link: str) -> int:
        """A file's size in bytes.

        Raises:
            FileNotFoundError: there is none, or it may not be read.
        """

    def read(self, link: str) -> Iterator[bytes]:
        """A file from its beginning, in pieces.

        Raises:
            FileNotFoundError: there is none, or it may not be read.
        """

    def read_part(self, link: str, start: int, length: int) -> bytes:
        """So many bytes of a file, from `start` (0 is the first)."""

    def write(self, link: str, pieces: Iterable[bytes], content_type: str) -> None:
        """Write a file piece by piece; it is there as a whole or not at all."""


class BatchExecutions(Protocol):
    """The state machine that runs batches."""

    def start(self, batch: Batch) -> str:
        """Start the batch's present run and return the execution's ARN. A second time changes nothing."""

    def stop(self, batch: Batch, error: str, cause: str) -> None:
        """Stop the batch's present run. One that has ended, or was never there, stays as it is."""

    def counts(self, batch: Batch) -> Counts:
        """How the rows of the batch's present run stand, some seconds ago at most."""
