"""The rows of a batch: what the states that run one ask for. JSON in, JSON out.

What a row's task or pipeline is called follows from the batch and the row, and each carries the row's mark. So
whoever starts a row again finds what was started before: what has succeeded is kept, and nothing runs twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from darkroom.batch_files import Asked, BatchFiles
from darkroom.batch_manifests import Place
from darkroom.batch_ports import BatchExecutions, BatchStore
from darkroom.batches import Batch, BatchEnd, BatchKey, BatchStatus, FieldFault, RowError, RowRecord, RowStatus
from darkroom.bodies import read_object
from darkroom.documents import Document
from darkroom.errors import (
    BatchStoppedError,
    FieldError,
    InvalidRequestError,
    PipelineConflictError,
    RequestError,
    RowEndedError,
    RowFailedError,
    TaskConflictError,
)
from darkroom.models import JsonObject
from darkroom.pipeline_submissions import PipelineSubmissions
from darkroom.pipelines import End, Pipeline, PipelineKey, PipelineStatus
from darkroom.submissions import Submissions
from darkroom.task_requests import read_form
from darkroom.task_starts import TaskStarts, reason_of
from darkroom.tasks import Task, TaskError, TaskKey, TaskStatus

_MERGED = ("content", "context")
_CAUSE = 1000  # characters of a reason that are kept


@dataclass(frozen=True)
class RowTicket:
    """Which row of which batch; `token` is what the state machine waits with."""

    key: BatchKey
    run: int
    place: Place
    token: str = ""
    failure: Mapping[str, str] | None = None

    @classmethod
    def read(cls, event: JsonObject) -> "RowTicket":
        """What a state says. An index gives numbers as texts."""
        batch, row = event["batch"], event["row"]
        place = Place(int(row["row"]), int(row["start"]), int(row["length"]), row.get("fault") or "")
        failure = event.get("state", {}).get("failure")
        return cls(BatchKey(batch["owner"], batch["id"]), batch["run"], place, event.get("token", ""), failure)


@dataclass(frozen=True)
class BatchRows:
    """The use cases. `submissions` checks tasks, `starts` writes them."""

    store: BatchStore
    files: BatchFiles
    submissions: Submissions
    starts: TaskStarts
    pipelines: PipelineSubmissions
    executions: BatchExecutions

    def handle(self, event: JsonObject, now: datetime) -> JsonObject:
        """Do what a state asks for.

        Raises:
            BatchStoppedError: the batch has ended.
            RowEndedError: the row has succeeded before.
            RowFailedError: the row is wrong, or has failed.
        """
        actions: Mapping[str, Callable[[RowTicket, datetime], JsonObject]] = {
            "start_task": self._start_task,
            "end_task": self._end_task,
            "start_pipeline": self._start_pipeline,
            "end_pipeline": self._end_pipeline,
        }
        return actions[event["do"]](RowTicket.read(event), now)

    def open(self, ticket: RowTicket, now: datetime) -> Batch:
        """The batch of a row, while its run is on. After its deadline the run is stopped.

        Raises:
            BatchStoppedError: it is not on.
        """
        batch = self.store.get(ticket.key)
        if batch is None or batch.status.ended or batch.run != ticket.run:
            raise BatchStoppedError
        if batch.expires_at <= now:
            error = TaskError(type="deadline", message="the batch was not finished before its deadline")
            self.store.end(batch.key, batch.run, BatchEnd(now, BatchStatus.FAILED, error))
            self.executions.stop(batch, error.type, error.message)
            raise BatchStoppedError
        return batch

    def _start_task(self, ticket: RowTicket, now: datetime) -> JsonObject:
        batch = self.open(ticket, now)
        with_mark = batch.mark(ticket.place.row)
        try:
            task = self._task(batch, ticket, now)
            old = self.starts.store.get(task.key)
            if old is not None and old.fingerprint != with_mark:
                raise TaskConflictError(
                    fields=[FieldError("id", f"{task.id!r} is the id of another task; name another, or none")]
                )
        except RequestError as error:
            raise self._refuse(batch, ticket, error) from error
        self._put(batch, ticket, RowStatus.RUNNING, task.id)
        if old is not None and old.status is TaskStatus.SUCCEEDED:
            raise RowEndedError
        if old is not None and not old.status.ended and old.task_token != ticket.token:
            self.starts.cancel(old, now)  # nobody waits for it any more
        task = self.starts.start(task)
        try:
            self.open(ticket, now)
        except BatchStoppedError:
            self.starts.cancel(task, now)
            raise
        return {"id": task.id}

    def _task(self, batch: Batch, ticket: RowTicket, now: datetime) -> Task:
        defaults = self.files.asked(batch).defaults
        form = merged(self._read(batch, ticket.place), {"prefix": batch.prefix, **defaults}, batch.context)
        request = read_form(form, batch.row_id(ticket.place.row))
        task = self.submissions.make(request, batch.owner, now)
        return task.model_copy(
            update={
                "fingerprint": batch.mark(ticket.place.row),
                "expires_at": min(task.expires_at, batch.expires_at),
                "task_token": ticket.token,
            }
        )

    def _read(self, batch: Batch, place: Place) -> JsonObject:
        if place.fault:
            raise InvalidRequestError(fields=[FieldError("row", place.fault)])
        try:
            return read_object(self.files.row(batch, place))
        except RequestError as error:
            raise InvalidRequestError(fields=[FieldError("row", it.message) for it in error.fields]) from error

    def _refuse(self, batch: Batch, ticket: RowTicket, error: RequestError) -> RowFailedError:
        """Write that a row is wrong."""
        faults = tuple(FieldFault(field=it.field, message=it.message) for it in error.fields)
        told = "; ".join(f"{it.field}: {it.message}" for it in faults) or str(error)
        found = RowError(type="invalid_row", message=told[:_CAUSE], errors=faults)
        self._put(batch, ticket, RowStatus.FAILED, None, error=found)
        return RowFailedError(f"row {ticket.place.row}: {found.message}")

    def _put(self, batch: Batch, ticket: RowTicket, status: RowStatus, id_: str | None, **more: Any) -> RowRecord:  # noqa: ANN401  fields
        record = RowRecord(row=ticket.place.row, run=ticket.run, status=status, id=id_, **more)
        self.store.put_row(batch, record)
        return record

    def _end_task(self, ticket: RowTicket, now: datetime) -> JsonObject:
        """Write how a row's task ended; one that has not is cancelled, since nobody waits for it any more."""
        batch, record = self._begun(ticket)
        if record.status.ended or record.id is None:
            return self._answer(record)
        task = self.starts.store.get(TaskKey(batch.owner, record.id))
        late = task is not None and not task.status.ended
        if task is not None and late:
            task = self.starts.cancel(task, now)
        if task is None or task.fingerprint != batch.mark(record.row):
            return self._fail(batch, ticket, record.id, self._reason(ticket))
        if task.status is TaskStatus.SUCCEEDED:
            done = {"images": task.images, "output_url": task.output_url}
            return self._answer(self._put(batch, ticket, RowStatus.SUCCEEDED, task.id, **done))
        if late:
            error = TaskError(type="timeout", message="the task took longer than it may", retryable=True)
        else:
            error = task.error or TaskError(type=task.status.value, message="no reason is known")
        return self._fail(batch, ticket, task.id, error)

    def _begun(self, ticket: RowTicket) -> tuple[Batch, RowRecord]:
        """The batch, and the row's record of this run; one that could not be begun fails for that.

        Raises:
            BatchStoppedError: the batch has ended.
        """
        batch = self.store.get(ticket.key)
        if batch is None or batch.status.ended or batch.run != ticket.run:
            raise BatchStoppedError
        record = self.store.row(ticket.key, ticket.place.row)
        if record is None or record.run != ticket.run:
            error = RowError(**self._reason(ticket).model_dump())
            record = self._put(batch, ticket, RowStatus.FAILED, None, error=error)
        return batch, record

    def _reason(self, ticket: RowTicket) -> TaskError:
        failure = ticket.failure or {}
        told = f"{failure.get('Error', 'unknown')}: {reason_of(failure)}"
        return TaskError(type="not_started", message=told[:_CAUSE], retryable=True)

    def _fail(self, batch: Batch, ticket: RowTicket, id_: str, error: TaskError) -> JsonObject:
        found = RowError(**error.model_dump())
        return self._answer(self._put(batch, ticket, RowStatus.FAILED, id_, error=found))

    def _answer(self, record: RowRecord) -> JsonObject:
        """What the row's execution ends with.

        Raises:
            RowFailedError: it ends as failed, so that Step Functions counts it so.
        """
        if record.status is not RowStatus.SUCCEEDED:
            reason = (
                f"{record.error.type}: {record.error.message}" if record.error is not None else record.status.value
            )
            raise RowFailedError(f"row {record.row}: {reason}")
        return {"row": record.row, "id": record.id}

    def _start_pipeline(self, ticket: RowTicket, now: datetime) -> JsonObject:
        """Begin a row's run of the pipeline, and say how its execution is to be started."""
        batch = self.open(ticket, now)
        try:
            pipeline = self._pipeline(batch, ticket, now)
        except RequestError as error:
            raise self._refuse(batch, ticket, error) from error
        self._put(batch, ticket, RowStatus.RUNNING, pipeline.id)
        if pipeline.status is PipelineStatus.SUCCEEDED:
            raise RowEndedError
        if pipeline.status.ended:
            until = min(now + (pipeline.expires_at - pipeline.started_at), batch.expires_at)
            pipeline = self.pipelines.store.restart(pipeline.key, now, until)
        try:
            self.open(ticket, now)
        except BatchStoppedError:
            self._cancel(pipeline, now)
            raise
        run = {"owner": pipeline.owner, "id": pipeline.id, "run": pipeline.run}
        return {"name": pipeline.execution_name, "run": run}

    def _pipeline(self, batch: Batch, ticket: RowTicket, now: datetime) -> Pipeline:
        """The run of a row: there from an earlier try, or new."""
        key = PipelineKey(batch.owner, batch.row_id(ticket.place.row))
        mark = batch.mark(ticket.place.row)
        found = self.pipelines.store.get(key)
        if found is not None and found.fingerprint != mark:
            message = f"{key.id!r} is the id of another pipeline; call the batch by another name"
            raise PipelineConflictError(fields=[FieldError("id", message)])
        if found is not None:
            return found
        asked: Asked = self.files.asked(batch)
        document = Document.model_validate(asked.document)
        inputs = self.pipelines.bind(document, asked.defaults | self._read(batch, ticket.place), batch.owner)
        made = self.pipelines.draft(document, key, now)
        changes = {
            "fingerprint": mark,
            "definition": batch.definition,
            "expires_at": min(made.expires_at, batch.expires_at),
            "context": batch.context or made.context,
        }
        return self.pipelines.keep(made.model_copy(update=changes), document, inputs)

    def _end_pipeline(self, ticket: RowTicket, now: datetime) -> JsonObject:
        """Write how a row's pipeline ended; one that has not is cancelled, since nobody waits for it any more."""
        batch, record = self._begun(ticket)
        if record.status.ended or record.id is None:
            return self._answer(record)
        pipeline = self.pipelines.store.get(PipelineKey(batch.owner, record.id))
        if pipeline is None:
            return self._fail(batch, ticket, record.id, self._reason(ticket))
        if not pipeline.status.ended:
            self._cancel(pipeline, now)
            return self._fail(batch, ticket, pipeline.id, self._reason(ticket))
        if pipeline.status is PipelineStatus.SUCCEEDED:
            done = {"images": pipeline.images, "output_url": pipeline.result}
            return self._answer(self._put(batch, ticket, RowStatus.SUCCEEDED, pipeline.id, **done))
        error = pipeline.error or TaskError(type=pipeline.status.value, message="no reason is known")
        return self._fail(batch, ticket, pipeline.id, error)

    def _cancel(self, pipeline: Pipeline, now: datetime) -> None:
        """End a pipeline; its tasks are cancelled within moments."""
        error = TaskError(type="cancelled", message="the batch waits for the pipeline no longer")
        self.pipelines.store.end(pipeline.key, pipeline.run, End(now, PipelineStatus.CANCELLED, error))

    def cancel(self, batch: Batch, record: RowRecord, now: datetime) -> RowRecord:
        """End what a row has running, and write how the row ended: its task may have succeeded this moment."""
        ended = record.model_copy(update={"status": RowStatus.CANCELLED})
        if record.id is not None and batch.kind == "tasks":
            task = self.starts.store.get(TaskKey(batch.owner, record.id))
            if task is not None and task.fingerprint == batch.mark(record.row):
                task = task if task.status.ended else self.starts.cancel(task, now)
                if task.status is TaskStatus.SUCCEEDED:
                    done = {"images": task.images, "output_url": task.output_url}
                    ended = record.model_copy(update={"status": RowStatus.SUCCEEDED, **done})
        elif record.id is not None:
            pipeline = self.pipelines.store.get(PipelineKey(batch.owner, record.id))
            if pipeline is not None and not pipeline.status.ended:
                self._cancel(pipeline, now)
            elif pipeline is not None and pipeline.status is PipelineStatus.SUCCEEDED:
                done = {"images": pipeline.images, "output_url": pipeline.result}
                ended = record.model_copy(update={"status": RowStatus.SUCCEEDED, **done})
        self.store.put_row(batch, ended)
        return ended


def merged(row: JsonObject, defaults: JsonObject, context: object) -> JsonObject:
    """A row with the defaults under it: contents and contexts field by field, anything else as a whole.

    The batch's context is under both.
    """
    under = {"context": context, **defaults}
    if isinstance(context, dict) and isinstance(defaults.get("context"), dict):
        under["context"] = context | defaults["context"]
    whole = under | row
    for name in _MERGED:
        if isinstance(row.get(name), dict) and isinstance(under.get(name), dict):
            whole[name] = under[name] | row[name]
    return whole
