"""A batch and its life: up to 100,000 rows of a manifest, each a task or a run of one pipeline.

A batch is one header (`Batch`) and one record for each row that has begun (`RowRecord`). What is asked for and the
rows are files in `Batch.folder`; the results lie where the images do.
"""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, auto
from typing import Any, Literal, NamedTuple, TypeAlias

from pydantic import Field

from darkroom.errors import BatchNotFoundError, BatchStateError
from darkroom.listings import Position
from darkroom.models import JsonObject, Model, Timestamp, to_text
from darkroom.tasks import TaskError

MAX_ROWS = 100_000
"""The most rows of a manifest: each is an execution, and AWS bills it by its states."""

SHOWN_FAILURES = 20
"""So many failed rows are listed with a batch; the file of failures has them all."""

_SHOWN_MESSAGE = 500  # characters of a reason that the header repeats

Format: TypeAlias = Literal["jsonl", "csv"]
Kind: TypeAlias = Literal["tasks", "pipelines"]


class BatchStatus(StrEnum):
    """Where a batch is in its life."""

    RUNNING = auto()
    SUCCEEDED = auto()
    FAILED = auto()
    CANCELLED = auto()

    @property
    def ended(self) -> bool:
        """True where no row will begin any more."""
        return self is not BatchStatus.RUNNING


class RowStatus(StrEnum):
    """Where a row is in its life. One without a record has not begun."""

    RUNNING = auto()
    SUCCEEDED = auto()
    FAILED = auto()
    CANCELLED = auto()

    @property
    def ended(self) -> bool:
        """True where the row is done with."""
        return self is not RowStatus.RUNNING


class BatchKey(NamedTuple):
    """What names a batch: ids are an owner's own."""

    owner: str
    id: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.id}"


class FieldFault(Model):
    """What is wrong with one field of a row, by its path in the row (`content.steps`)."""

    field: str
    message: str


class RowError(TaskError):
    """Why a row failed. `errors` names the fields of a row that was wrong."""

    errors: tuple[FieldFault, ...] = ()


class RowRecord(Model):
    """How a row stands. `row` counts from 1; `run` is the one in which it began last.

    `id` is that of its task, or of its pipeline's run; it is absent where neither could be started. `images` of a
    pipeline are the first hundred; `output_url` links to the runtime's answer, or to a pipeline's whole result.
    """

    row: int
    run: int
    status: RowStatus
    id: str | None = None
    images: tuple[str, ...] = ()
    output_url: str | None = None
    error: RowError | None = None

    def line(self) -> bytes:
        """The row's line in the results."""
        return (self.model_dump_json(exclude={"run"}) + "\n").encode()


class RowFailure(Model):
    """A failed row, as it is listed with its batch."""

    row: int
    id: str | None = None
    error: RowError

    @classmethod
    def of(cls, record: RowRecord) -> "RowFailure":
        """A record of a row that failed. Of a long reason only the beginning is kept: a header is small."""
        error = record.error or RowError(type="unknown", message="no reason is known")
        short = error.model_copy(update={"message": error.message[:_SHOWN_MESSAGE], "errors": error.errors[:5]})
        return cls(row=record.row, id=record.id, error=short)


class Counts(Model):
    """How many rows stand where. Rows that have not begun are in none of them."""

    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


class Batch(Model):
    """One batch. `run` counts its executions: one more with each retry.

    `rows` is known once the manifest has been read. `kept` of them succeeded before the present run. `counts` are
    there once the batch has ended and nothing of it goes on; `failures` are then the first that failed.
    """

    owner: str
    id: str
    fingerprint: str
    folder: str
    manifest: str
    format: Format
    kind: Kind
    results: str
    created_at: Timestamp
    started_at: Timestamp
    expires_at: Timestamp
    max_concurrency: int
    tolerated_failure_percentage: float
    finished_at: Timestamp | None = None
    status: BatchStatus = BatchStatus.RUNNING
    run: int = 1
    rows: int | None = None
    kept: int = 0
    counts: Counts | None = None
    failures: tuple[RowFailure, ...] = ()
    error: TaskError | None = None
    context: Any = Field(default_factory=dict)
    webhook: Any = None
    definition: str | None = None

    @property
    def key(self) -> BatchKey:
        """What names the batch."""
        return BatchKey(self.owner, self.id)

    @property
    def position(self) -> Position:
        """Where the batch stands in its owner's list."""
        return Position(to_text(self.created_at), self.id)

    @property
    def request(self) -> str:
        """The link of what was asked for: defaults, or the pipeline's document."""
        return f"{self.folder}/request.json"

    @property
    def rows_file(self) -> str:
        """The link of the rows: the manifest's, each a line of JSON."""
        return f"{self.folder}/rows.jsonl"

    @property
    def index(self) -> str:
        """The link of the index of all rows."""
        return f"{self.folder}/index.csv"

    @property
    def run_folder(self) -> str:
        """The folder of the present run's index, and of what Step Functions writes of it."""
        return f"{self.folder}/runs/{self.run}"

    @property
    def prefix(self) -> str:
        """The folder of the results in its bucket, and of images whose rows name none."""
        return self.results.split("/", 3)[3]

    @property
    def results_file(self) -> str:
        """The link of the results: a line for each row that has begun."""
        return f"{self.results}/results.jsonl"

    @property
    def failures_file(self) -> str:
        """The link of the failures: the lines of the rows that failed."""
        return f"{self.results}/failures.jsonl"

    @property
    def execution_name(self) -> str:
        """What the execution of the present run is called: 80 characters at most, not used again for 90 days."""
        life = f"batch {self.key} {to_text(self.created_at)} {self.run}"
        readable = re.sub(r"[^A-Za-z0-9_-]", "-", self.id[:48])
        return f"{readable}-{hashlib.sha256(life.encode()).hexdigest()[:16]}"

    def row_id(self, row: int) -> str:
        """What a row's task or pipeline is called where the row does not say: the same in every run."""
        return f"{self.id}-{row}"

    def mark(self, row: int) -> str:
        """What tells the tasks and pipelines of a row from others of the same id."""
        return hashlib.sha256(f"batch {self.key} {to_text(self.created_at)} {row}".encode()).hexdigest()

    def public(self) -> JsonObject:
        """The batch as its owner sees it, but for its progress and results."""
        hidden = {"owner", "fingerprint", "folder", "results", "rows", "kept", "counts", "failures", "webhook"}
        return self.model_dump(mode="json", exclude=hidden)


@dataclass(frozen=True)
class BatchEnd:
    """What is written when a run ends. `counts` is absent where rows have still to be cancelled and counted."""

    now: datetime
    status: BatchStatus
    error: TaskError | None = None
    counts: Counts | None = None
    failures: tuple[RowFailure, ...] = field(default=())

    @property
    def values(self) -> JsonObject:
        """The fields that change."""
        return {
            "status": self.status,
            "finished_at": self.now,
            "error": self.error,
            "counts": self.counts,
            "failures": self.failures,
        }


def restarted(batch: Batch, now: datetime, expires_at: datetime) -> Batch:
    """The batch in its next run."""
    return batch.model_copy(
        update={
            "status": BatchStatus.RUNNING,
            "run": batch.run + 1,
            "started_at": now,
            "expires_at": expires_at,
            "finished_at": None,
            "error": None,
            "kept": batch.counts.succeeded if batch.counts is not None else 0,
            "counts": None,
            "failures": (),
        }
    )


def check_restart(batch: Batch | None) -> Batch:
    """A batch that may be restarted.

    Raises:
        BatchNotFoundError: there is none.
        BatchStateError: it runs, or has succeeded, or its rows have not all come to rest.
    """
    if batch is None:
        raise BatchNotFoundError
    if batch.status not in {BatchStatus.FAILED, BatchStatus.CANCELLED}:
        raise BatchStateError(f"The batch is {batch.status}: what ended without success can be retried.")
    if batch.counts is None:
        raise BatchStateError("The batch's rows are still being cancelled: try again in a moment.")
    return batch
