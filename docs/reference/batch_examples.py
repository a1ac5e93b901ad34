"""Examples of batches, and what the answers about them mean."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from darkroom.batch_answers import BatchDetails, BatchSummary, ResultFile, progress_of
from darkroom.batches import Batch, BatchStatus, Counts, FieldFault, RowError, RowFailure
from darkroom.tasks import TaskError

Json = dict[str, Any]

_BUCKET = "darkroom-outputbucket"
_START = datetime(2026, 1, 31, 12, tzinfo=UTC)
_OWNER, _ID = "x1y2z3a4b5", "posters"
_MANIFEST = f"s3://{_BUCKET}/uploads/{_OWNER}/01KG0000000000000000000000/prompts.csv"

REQUESTS: Mapping[str, Json] = {
    "POST /v1/batches": {
        "a CSV of tasks": {
            "id": _ID,
            "manifest": _MANIFEST,
            "defaults": {
                "runtime": "sdruntime",
                "type": "text-to-image",
                "content": {"steps": 20, "width": 512, "height": 512},
            },
            "max_concurrency": 200,
            "tolerated_failure_percentage": 5,
            "context": {"order": 42},
        },
        "inputs of a saved pipeline": {
            "manifest": _MANIFEST.replace(".csv", ".jsonl"),
            "pipeline": "poster@3",
            "deadline_seconds": 86400,
        },
    },
}

_WRONG = RowFailure(
    row=2,
    error=RowError(
        type="invalid_row",
        message="content.steps: must be greater than or equal to 1",
        errors=(FieldFault(field="content.steps", message="must be greater than or equal to 1"),),
    ),
)


def _batch(status: BatchStatus, counts: Counts | None, run: int = 1, error: TaskError | None = None) -> Batch:
    return Batch(
        owner=_OWNER,
        id=_ID,
        fingerprint="",
        folder="",
        manifest=_MANIFEST,
        format="csv",
        kind="tasks",
        results=f"s3://{_BUCKET}/batches/{_ID}",
        created_at=_START,
        started_at=_START,
        expires_at=_START + timedelta(days=14),
        max_concurrency=200,
        tolerated_failure_percentage=5,
        finished_at=_START + timedelta(minutes=34) if status.ended else None,
        status=status,
        run=run,
        rows=None if counts is None and run == 1 else 5000,
        kept=4999 if run > 1 else 0,
        counts=counts,
        failures=(_WRONG,) if counts is not None else (),
        error=error,
        context={"order": 42},
    )


def _details(batch: Batch) -> Json:
    files: dict[str, ResultFile | None] = {"results": None, "failures_file": None}
    if batch.counts is not None:
        for name, link in (("results", batch.results_file), ("failures_file", batch.failures_file)):
            url = f"https://{_BUCKET}.s3.amazonaws.com/{link.split('/', 3)[3]}?X-Amz-Signature=…"
            files[name] = ResultFile(uri=link, url=url)
    shown = BatchDetails(**batch.public(), progress=progress_of(batch), failures=batch.failures, **files)
    found: Json = shown.model_dump(mode="json")
    return found


_FAILED = TaskError(type="rows_failed", message="1 of 5000 rows did not succeed; see the failures", retryable=True)
_STOPPED = TaskError(type="cancelled", message="the batch was cancelled")
_BEGUN = _batch(BatchStatus.RUNNING, None)
_ENDED = _batch(BatchStatus.FAILED, Counts(succeeded=4999, failed=1), error=_FAILED)

ANSWERS: Mapping[str, Json] = {
    "POST /v1/batches": _details(_BEGUN),
    "GET /v1/batches": {"items": [BatchSummary.of(_ENDED).model_dump(mode="json")], "next_cursor": None},
    "GET /v1/batches/{id}": _details(_ENDED),
    "POST /v1/batches/{id}/cancel": _details(_batch(BatchStatus.CANCELLED, None, error=_STOPPED)),
    "POST /v1/batches/{id}/retry": _details(_batch(BatchStatus.RUNNING, None, run=2)),
}

MEANINGS: Mapping[tuple[str, HTTPStatus], str] = {
    ("POST /v1/batches", HTTPStatus.ACCEPTED): "The batch, which runs.",
    ("POST /v1/batches", HTTPStatus.OK): "The batch, which has ended.",
    ("GET /v1/batches", HTTPStatus.OK): "A page of batches.",
    ("GET /v1/batches/{id}", HTTPStatus.OK): "The batch.",
    ("POST /v1/batches/{id}/cancel", HTTPStatus.OK): "The batch as it is now: cancelled, or ended before.",
    ("POST /v1/batches/{id}/retry", HTTPStatus.ACCEPTED): "The batch, which runs again.",
}
