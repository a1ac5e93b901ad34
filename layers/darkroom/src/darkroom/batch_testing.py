"""The ports of batches in memory, for tests and for those who build on the domain."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from darkroom.batches import (
    Batch,
    BatchEnd,
    BatchKey,
    BatchStatus,
    Counts,
    RowFailure,
    RowRecord,
    RowStatus,
    check_restart,
    restarted,
)
from darkroom.errors import BatchConflictError
from darkroom.listings import Position
from darkroom.testing import InMemoryBlobStore

_PIECE = 1000


class InMemoryBatchStore:
    """A `BatchStore` in dictionaries."""

    def __init__(self) -> None:
        self._batches: dict[BatchKey, Batch] = {}
        self._rows: dict[BatchKey, dict[int, RowRecord]] = {}
        self._lock = Lock()

    def create(self, batch: Batch) -> Batch:
        """See `BatchStore.create`."""
        with self._lock:
            old = self._batches.setdefault(batch.key, batch)
        if old.fingerprint != batch.fingerprint:
            raise BatchConflictError
        return old

    def get(self, key: BatchKey) -> Batch | None:
        """See `BatchStore.get`."""
        return self._batches.get(key)

    def page(self, owner: str, limit: int, after: Position | None = None) -> list[Batch]:
        """See `BatchStore.page`."""
        found = [it for it in self._batches.values() if it.owner == owner]
        found = [it for it in found if after is None or it.position < after]
        return sorted(found, key=lambda it: it.position, reverse=True)[:limit]

    def set_rows(self, key: BatchKey, run: int, rows: int) -> bool:
        """See `BatchStore.set_rows`."""
        return self._change(key, run, {BatchStatus.RUNNING}, {"rows": rows})

    def end(self, key: BatchKey, run: int, end: BatchEnd) -> bool:
        """See `BatchStore.end`."""
        return self._change(key, run, {BatchStatus.RUNNING}, end.values)

    def settle(self, key: BatchKey, run: int, counts: Counts, failures: tuple[RowFailure, ...]) -> bool:
        """See `BatchStore.settle`."""
        batch = self._batches.get(key)
        if batch is None or batch.counts is not None:
            return False
        ends = set(BatchStatus) - {BatchStatus.RUNNING}
        return self._change(key, run, ends, {"counts": counts, "failures": failures})

    def _change(self, key: BatchKey, run: int, of: set[BatchStatus], values: dict[str, object]) -> bool:
        with self._lock:
            batch = self._batches.get(key)
            if batch is None or batch.status not in of or batch.run != run:
                return False
            self._batches[key] = batch.model_copy(update=values)
            return True

    def restart(self, key: BatchKey, now: datetime, expires_at: datetime) -> Batch:
        """See `BatchStore.restart`."""
        with self._lock:
            self._batches[key] = restarted(check_restart(self._batches.get(key)), now, expires_at)
            return self._batches[key]

    def put_row(self, batch: Batch, record: RowRecord) -> None:
        """See `BatchStore.put_row`."""
        self._rows.setdefault(batch.key, {})[record.row] = record

    def row(self, key: BatchKey, row: int) -> RowRecord | None:
        """See `BatchStore.row`."""
        return self._rows.get(key, {}).get(row)

    def rows(self, key: BatchKey) -> Iterator[RowRecord]:
        """See `BatchStore.rows`."""
        return iter([record for _, record in sorted(self._rows.get(key, {}).items())])

    def running(self, key: BatchKey) -> Iterator[RowRecord]:
        """See `BatchStore.running`."""
        return (record for record in self.rows(key) if record.status is RowStatus.RUNNING)

    def failures(self, key: BatchKey, run: int, limit: int) -> list[RowFailure]:
        """See `BatchStore.failures`."""
        failed = [it for it in self.rows(key) if it.status is RowStatus.FAILED and it.run == run]
        return [RowFailure.of(it) for it in failed[:limit]]


class InMemoryRowFiles:
    """A `RowFiles` on the files of an `InMemoryBlobStore`."""

    def __init__(self, blobs: InMemoryBlobStore) -> None:
        self._blobs = blobs

    def size(self, link: str) -> int:
        """See `RowFiles.size`."""
        return len(self._blobs.get(link))

    def read(self, link: str) -> Iterator[bytes]:
        """See `RowFiles.read`."""
        data = self._blobs.get(link)
        return (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))

    def read_part(self, link: str, start: int, length: int) -> bytes:
        """See `RowFiles.read_part`."""
        return self._blobs.get(link)[start : start + length]

    def write(self, link: str, pieces: Iterable[bytes], content_type: str) -> None:
        """See `RowFiles.write`."""
        self._blobs.put(link, b"".join(pieces), content_type)


@dataclass
class RecordedExecutions:
    """A `BatchExecutions` that keeps what it is asked; `progress` is what it says of a run."""

    started: list[str] = field(default_factory=list)
    stopped: list[tuple[str, str]] = field(default_factory=list)
    progress: Counts = field(default_factory=Counts)

    def start(self, batch: Batch) -> str:
        """See `BatchExecutions.start`."""
        self.started.append(batch.execution_name)
        return f"arn:{batch.execution_name}"

    def stop(self, batch: Batch, error: str, cause: str) -> None:
        """See `BatchExecutions.stop`."""
        del cause
        self.stopped.append((batch.execution_name, error))

    def counts(self, batch: Batch) -> Counts:
        """See `BatchExecutions.counts`."""
        del batch
        return self.progress
