"""A batch's beginning and its end: what the state machine `run_batch` asks for before and after the rows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from darkroom.batch_files import BatchFiles
from darkroom.batch_ports import BatchStore
from darkroom.batch_rows import BatchRows
from darkroom.batches import Batch, BatchEnd, BatchKey, BatchStatus, RowRecord, RowStatus
from darkroom.errors import BatchStoppedError, ManifestError
from darkroom.models import JsonObject
from darkroom.pipeline_runs import HEARTBEAT
from darkroom.task_starts import reason_of
from darkroom.tasks import TaskError

_CAUSE = 1000  # characters of a reason that are kept
_TOO_MANY = "States.ExceedToleratedFailureThreshold"


@dataclass(frozen=True)
class BatchPlans:
    """The use cases. `rows` ends what an ended batch has left running."""

    rows: BatchRows

    @property
    def _store(self) -> BatchStore:
        return self.rows.store

    @property
    def _files(self) -> BatchFiles:
        return self.rows.files

    def handle(self, event: JsonObject, now: datetime) -> JsonObject:
        """Do what a state asks for.

        Raises:
            BatchStoppedError: the batch has ended.
            ManifestError: the manifest cannot be taken.
        """
        actions: Mapping[str, Callable[[JsonObject, datetime], JsonObject]] = {"plan": self._plan, "end": self._end}
        return actions[event["do"]](event, now)

    def _plan(self, event: JsonObject, now: datetime) -> JsonObject:
        """Read the manifest, unless an earlier run has, and list the rows that are left to do."""
        key, run = key_of(event["batch"])
        batch = self._store.get(key)
        if batch is None or batch.status.ended or batch.run != run:
            raise BatchStoppedError
        if batch.rows is None:
            rows = self._files.take_manifest(batch)
            if not self._store.set_rows(key, run, rows):
                raise BatchStoppedError
            batch = batch.model_copy(update={"rows": rows})
        done = {it.row for it in self._store.rows(key) if it.status is RowStatus.SUCCEEDED}
        index, left = self._files.index_run(batch, done)
        bucket, _, place = index.removeprefix("s3://").partition("/")
        timeout = max(2, ceil((batch.expires_at - now).total_seconds()) + 1)
        return {
            "kind": batch.kind if left else "none",
            "bucket": bucket,
            "index": place,
            "written": batch.run_folder.split("/", 3)[3],
            "width": batch.max_concurrency,
            "tolerated": batch.tolerated_failure_percentage,
            "timeout": timeout,
            "heartbeat": min(HEARTBEAT, timeout - 1),
        }

    def _end(self, event: JsonObject, now: datetime) -> JsonObject:
        """End a run, unless it has ended: with the failure of a state, or as its rows say."""
        key, run = key_of(event["batch"])
        batch = self._store.get(key)
        if batch is None:
            return {"id": key.id, "status": BatchStatus.FAILED, "results": None, "cause": "there is no such batch"}
        failure = event["state"].get("failure")
        if batch.run == run and not batch.status.ended:
            if failure is None:
                self._finish(batch, now)
            else:
                self._store.end(key, run, BatchEnd(now, BatchStatus.FAILED, _explain(failure, batch)))
        if batch.run == run:
            self.settle(key, now)
        batch = self._store.get(key) or batch
        cause = f"{batch.error.type}: {batch.error.message}" if batch.error is not None else batch.status.value
        return {"id": key.id, "status": batch.status, "results": batch.results_file, "cause": cause}

    def _finish(self, batch: Batch, now: datetime) -> None:
        """End a batch whose rows have all ended."""
        tally = self._files.put_results(batch, self._store.rows(batch.key))
        done, total = tally.counts, batch.rows or 0
        status, error = BatchStatus.SUCCEEDED, None
        if done.succeeded < total:
            message = f"{total - done.succeeded} of {total} rows did not succeed; see the failures"
            status, error = BatchStatus.FAILED, TaskError(type="rows_failed", message=message, retryable=True)
        self._store.end(batch.key, batch.run, BatchEnd(now, status, error, done, tuple(tally.failures)))

    def settle(self, key: BatchKey, now: datetime) -> Batch | None:
        """Cancel what a batch that has ended left running, count its rows and write its results; once.

        Returns None where there is nothing to do.
        """
        batch = self._store.get(key)
        if batch is None or not batch.status.ended or batch.counts is not None:
            return None
        for record in self._store.running(key):
            self.rows.cancel(batch, record, now)
        tally = self._files.put_results(batch, _at_rest(self._store.rows(key)))
        self._store.settle(key, batch.run, tally.counts, tuple(tally.failures))
        return batch

    def on_execution(self, detail: Mapping[str, Any], input_: JsonObject, now: datetime) -> BatchKey:
        """End a run whose execution did not come to its own end: it was stopped, ran out of time, or failed.

        Args:
            detail: of Step Functions' event "Step Functions Execution Status Change".
            input_: the execution's input.
            now: the time.
        """
        key, run = key_of(input_["batch"])
        error = TaskError(type=detail.get("error") or detail["status"].lower(), message=detail.get("cause") or "")
        status = BatchStatus.CANCELLED if detail["status"] == "ABORTED" else BatchStatus.FAILED
        self._store.end(key, run, BatchEnd(now, status, error))
        batch = self._store.get(key)
        if batch is not None and batch.run == run:
            self.settle(key, now)
        return key


def key_of(named: Mapping[str, Any]) -> tuple[BatchKey, int]:
    """Which batch an input or a state names, and which run of it."""
    return BatchKey(named["owner"], named["id"]), named["run"]


def _at_rest(records: Iterator[RowRecord]) -> Iterator[RowRecord]:
    """The rows of a batch that has ended: one that began while the others were cancelled has cancelled itself."""
    for record in records:
        yield record if record.status.ended else record.model_copy(update={"status": RowStatus.CANCELLED})


def _explain(failure: Mapping[str, str], batch: Batch) -> TaskError:
    if failure["Error"] == _TOO_MANY:
        message = f"more than {batch.tolerated_failure_percentage:g}% of the rows have failed"
        return TaskError(type="too_many_failures", message=message, retryable=True)
    type_ = "manifest" if failure["Error"] == ManifestError.__name__ else failure["Error"]
    return TaskError(type=type_, message=reason_of(failure)[:_CAUSE], retryable=type_ != "manifest")
