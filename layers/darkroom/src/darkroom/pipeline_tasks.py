"""The tasks of a pipeline: starting one for an item of a step, and judging one that did not succeed."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from darkroom.content import check_content, take_model
from darkroom.documents import ANY_ERROR, Retry, Step
from darkroom.errors import (
    InvalidRequestError,
    PipelineStoppedError,
    StepFailedError,
)
from darkroom.models import JsonObject
from darkroom.pipeline_runs import HEARTBEAT, PipelineRuns, Run
from darkroom.pipelines import (
    SHARED_OWNER,
    Assignment,
    ItemResult,
    PipelineKey,
    StepRecord,
    StepResult,
    StepStatus,
    first_error,
)
from darkroom.references import ReferenceFailedError, resolve
from darkroom.requests import fingerprint
from darkroom.restrictions import check_links
from darkroom.task_starts import TaskStarts
from darkroom.tasks import Task, TaskError, TaskStatus

_LONGEST_WAIT = 3600.0
_ABOUT = 60  # seconds between a state's beginning and its task's, and between two heartbeats, at most
_FINAL = frozenset({"cancelled", "reference", "invalid_content"})  # as it is, it would end so again


@dataclass(frozen=True)
class Ticket:
    """Which item of which step, and which try; `token` is what the state machine waits with."""

    key: PipelineKey
    run: int
    step: str
    index: int = 0
    attempt: int = 1
    token: str = ""

    @property
    def task_id(self) -> str:
        """The task's id: of one token always the same, so that a repeated invocation starts no second task."""
        digest = hashlib.sha256(self.token.encode()).hexdigest()[:10]
        return f"{self.key.id[:48]}-{self.step}-{self.index}-{digest}"


@dataclass(frozen=True)
class PipelineTasks:
    """The use cases of the states that run tasks."""

    runs: PipelineRuns
    starts: TaskStarts

    def start(self, ticket: Ticket, now: datetime) -> Task:
        """Start the task for an item.

        It is written down before it begins, and after that the pipeline is looked at again: whoever ends the
        pipeline first writes so and then cancels what is written down. So no task is left over.

        Raises:
            PipelineStoppedError: the pipeline has ended.
            StepFailedError: the item has no valid content.
        """
        run = self.runs.open(ticket.key, ticket.run, now)
        step = run.document.step(ticket.step)
        store = self.runs.store
        self._begin(run, ticket, now)
        assignment = Assignment(step=step.id, index=ticket.index, run=ticket.run, attempt=ticket.attempt)
        try:
            task = self._task(run, step, ticket, now)
        except (ReferenceFailedError, InvalidRequestError) as error:
            store.put_assignment(ticket.key, assignment.model_copy(update={"error": _content_error(error)}))
            raise StepFailedError(str(error)) from error
        self._relieve(ticket, task, now)
        store.put_assignment(ticket.key, assignment.model_copy(update={"task": task.id}))
        task = self.starts.start(task)
        try:
            self.runs.open(ticket.key, ticket.run, now)
        except PipelineStoppedError:
            self.starts.cancel(task, now)
            raise
        return task

    def _relieve(self, ticket: Ticket, task: Task, now: datetime) -> None:
        """Cancel the task that worked at this item before, where nobody waits for it any more.

        That is one of an earlier run that has not been cleared yet, or one whose invocation broke after it began.
        """
        last = self.runs.store.assignment(ticket.key, ticket.step, ticket.index)
        before = None if last is None else self.runs.files.task(last, ticket.key.owner)
        if before is not None and before.id != task.id and not before.status.ended:
            self.starts.cancel(before, now)

    def _begin(self, run: Run, ticket: Ticket, now: datetime) -> None:
        """Say that a step without `foreach` began; one with it has said so when it was prepared."""
        if ticket.index or ticket.attempt > 1:
            return
        record = run.store.steps(ticket.key).get(ticket.step)
        if record is None or record.run != ticket.run:
            record = StepRecord(id=ticket.step, status=StepStatus.RUNNING, run=ticket.run, started_at=now)
            run.store.put_step(ticket.key, record)

    def _task(self, run: Run, step: Step, ticket: Ticket, now: datetime) -> Task:
        files, pipeline = self.runs.files, run.pipeline
        items = run.items(step)
        at_hand = {} if items is None else {"item": items[ticket.index], "index": ticket.index}
        asked = resolve(step.content, files.scope(pipeline, run.inputs, **at_hand).look)
        check_content(step.type, asked, f"steps.{step.id}.content")
        if pipeline.owner != SHARED_OWNER:  # who may start executions may read the bucket, too
            check_links(asked, f"steps.{step.id}.content", self.starts.bucket, pipeline.owner)
        content, model = take_model(asked)
        prefix = f"{run.document.prefix}/{pipeline.id}/{step.id}"
        return Task(
            owner=pipeline.owner,
            id=ticket.task_id,
            runtime=step.runtime,
            type=step.type,
            prefix=prefix,
            output_location=f"s3://{self.starts.bucket}/{prefix}/{ticket.task_id}",
            fingerprint=fingerprint({"token": ticket.token}),
            created_at=now,
            expires_at=min(now + timedelta(seconds=self.runs.longest), pipeline.expires_at),
            content=content,
            context=pipeline.context,
            model=model if isinstance(model, str) else None,
            task_token=ticket.token,
            pipeline_id=pipeline.id,
            step=step.id,
        )

    def judge(self, ticket: Ticket, reason: str, now: datetime) -> JsonObject:
        """Decide what becomes of an item whose task did not succeed: `{"retry", "seconds", "attempt"}`.

        A task that is not finished (the state machine has lost patience with it) is cancelled. The item that ends a
        step's hopes ends the pipeline with it, so that its siblings are cancelled at once.

        Raises:
            PipelineStoppedError: the pipeline has ended.
        """
        run = self.runs.open(ticket.key, ticket.run, now)
        step = run.document.step(ticket.step)
        known = run.store.assignment(ticket.key, step.id, ticket.index)
        assignment = known or Assignment(step=step.id, index=ticket.index, run=ticket.run)
        error = self._error(assignment, run, step, reason, now)
        if error is None:  # it succeeded, and only its word was lost
            return {"retry": False, "seconds": 0, "attempt": ticket.attempt}
        wait = wait_before(step.retry, ticket.attempt, error)
        if wait is not None and now + timedelta(seconds=wait) < run.pipeline.expires_at:
            return {"retry": True, "seconds": int(wait + 0.999), "attempt": ticket.attempt + 1}
        run.store.put_assignment(ticket.key, assignment.model_copy(update={"error": error}))
        if step.on_failure == "fail":
            self.end_step(ticket.key, ticket.run, step.id, now)
        return {"retry": False, "seconds": 0, "attempt": ticket.attempt}

    def _error(self, assignment: Assignment, run: Run, step: Step, reason: str, now: datetime) -> TaskError | None:
        """Why an item has not succeeded; None where it has."""
        task = self.runs.files.task(assignment, run.pipeline.owner)
        if task is None:
            return assignment.error or TaskError(type="not_started", message=reason, retryable=True)
        if not task.status.ended:
            task = self.starts.cancel(task, now)
            if task.status is TaskStatus.CANCELLED:
                return _given_up(now - task.created_at, step.timeout_seconds or self.runs.longest)
        if task.status is TaskStatus.SUCCEEDED:
            return None
        return task.error or TaskError(type=task.status.value, message="no reason is known")

    def end_step(self, key: PipelineKey, run_number: int, step_id: str, now: datetime) -> StepStatus:
        """Collect what became of a step's items and write its end.

        Raises:
            PipelineStoppedError: the pipeline has ended, perhaps by this step's failure.
        """
        run = self.runs.open(key, run_number, now)
        record = run.store.steps(key).get(step_id)
        if record is None or record.run != run_number:
            record = StepRecord(id=step_id, status=StepStatus.RUNNING, run=run_number, started_at=now)
        if record.status.ended:
            return record.status
        known = {it.index: it for it in run.store.assignments(key, step_id)}
        items = tuple(
            self.runs.files.item_result(known.get(index, Assignment(step=step_id, index=index)), key.owner)
            for index in range(record.items)
        )
        status = step_status(items)
        error = first_error(it for it in items if it.status is not TaskStatus.CANCELLED) or first_error(items)
        result = StepResult(id=step_id, status=status, each=record.each, items=items)
        run.finish_step(record.model_copy(update={"error": error}), result, now)
        return status


def step_status(items: tuple[ItemResult, ...]) -> StepStatus:
    """A step has succeeded where all its items have."""
    return StepStatus.SUCCEEDED if all(it.status is TaskStatus.SUCCEEDED for it in items) else StepStatus.FAILED


def wait_before(retry: Retry, attempt: int, error: TaskError) -> float | None:
    """How long to wait before another try, in seconds; None where there is none."""
    wanted = error.type in retry.on or (ANY_ERROR in retry.on and error.type not in _FINAL)
    if attempt >= retry.max_attempts or not wanted:
        return None
    return min(_LONGEST_WAIT, retry.backoff_seconds * 2.0 ** (attempt - 1))


def _given_up(waited: timedelta, allowed: int) -> TaskError:
    """Why the state machine waits no longer: Step Functions has one name for a timeout and a missing heartbeat."""
    if waited.total_seconds() < allowed - _ABOUT:
        message = f"nothing was heard of the task for {HEARTBEAT} seconds"
        return TaskError(type="silent", message=message, retryable=True)
    return TaskError(type="timeout", message="the task took longer than it may", retryable=True)


def _content_error(error: Exception) -> TaskError:
    if isinstance(error, InvalidRequestError):
        told = "; ".join(f"{fault.field}: {fault.message}" for fault in error.fields)
        return TaskError(type="invalid_content", message=told or str(error))
    return TaskError(type="reference", message=str(error))
