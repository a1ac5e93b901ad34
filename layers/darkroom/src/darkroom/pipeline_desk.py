"""What a caller does with pipelines: submit, look, wait, cancel, retry."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from darkroom.documents import MAX_DEADLINE, Step
from darkroom.errors import PipelineNotFoundError
from darkroom.graphs import needs_of
from darkroom.models import JsonObject
from darkroom.pipeline_answers import PipelineDetails, StepView
from darkroom.pipeline_ports import Executions, PipelineStore
from darkroom.pipeline_submissions import PipelineSubmissions
from darkroom.pipelines import (
    SHARED_OWNER,
    Assignment,
    End,
    Pipeline,
    PipelineKey,
    PipelineStatus,
    StepRecord,
    StepStatus,
)
from darkroom.tasks import TaskError

_LOOK_EVERY = 0.25
_WATCHED = 50
"""So many tasks of a running step are looked at for its progress."""


@dataclass(frozen=True)
class PipelineDesk:
    """The use case. Pipelines that were started at Step Functions itself are everyone's."""

    submissions: PipelineSubmissions
    executions: Executions

    @property
    def _store(self) -> PipelineStore:
        return self.submissions.store

    def submit(self, body: JsonObject, owner: str, now: datetime) -> Pipeline:
        """Accept a pipeline and start it. The same body again, with its id, changes nothing.

        Raises:
            RequestError: it cannot be accepted.
        """
        pipeline = self.submissions.submit(body, owner, now)
        if not pipeline.status.ended:
            self._start(pipeline, now)
        return pipeline

    def _start(self, pipeline: Pipeline, now: datetime) -> None:
        """Start the execution. Where that fails the pipeline does, too: nobody else would ever end it."""
        try:
            self.executions.start(pipeline)
        except Exception:
            error = TaskError(type="not_started", message="the execution could not be started", retryable=True)
            self._store.end(pipeline.key, pipeline.run, End(now, PipelineStatus.FAILED, error))
            raise

    def get(self, owner: str, id_: str) -> Pipeline:
        """A pipeline of the owner's, or of everyone's.

        Raises:
            PipelineNotFoundError: there is none.
        """
        found = self._store.get(PipelineKey(owner, id_)) or self._store.get(PipelineKey(SHARED_OWNER, id_))
        if found is None:
            raise PipelineNotFoundError(f"There is no pipeline {id_!r}.")
        return found

    def page(self, owner: str, limit: int, before: str | None) -> list[Pipeline]:
        """The owner's pipelines and everyone's, newest first."""
        found = [pipeline for whose in (owner, SHARED_OWNER) for pipeline in self._store.page(whose, limit, before)]
        return sorted(found, key=lambda it: it.position, reverse=True)[:limit]

    def cancel(self, pipeline: Pipeline, now: datetime) -> Pipeline:
        """Cancel a pipeline. One that has ended stays as it is; its tasks are cancelled within moments."""
        error = TaskError(type="cancelled", message="the pipeline was cancelled")
        self._store.end(pipeline.key, pipeline.run, End(now, PipelineStatus.CANCELLED, error))
        return self._store.get(pipeline.key) or pipeline

    def retry(self, pipeline: Pipeline, now: datetime) -> Pipeline:
        """Run a pipeline again from what failed on; what has succeeded is kept.

        Raises:
            PipelineStateError: it runs, or has succeeded.
        """
        document, _ = self.submissions.files.load(pipeline)
        deadline = timedelta(seconds=document.deadline_seconds or MAX_DEADLINE)
        again = self._store.restart(pipeline.key, now, now + deadline)
        self._start(again, now)
        return again

    def wait(self, pipeline: Pipeline, seconds: float) -> Pipeline:
        """The pipeline once it has ended, or after so many seconds."""
        until = time.monotonic() + seconds
        while not pipeline.status.ended and (left := until - time.monotonic()) > 0:
            time.sleep(min(_LOOK_EVERY, left))
            pipeline = self._store.get(pipeline.key) or pipeline
        return pipeline

    def detail(self, pipeline: Pipeline) -> PipelineDetails:
        """A pipeline with its steps."""
        document, inputs = self.submissions.files.load(pipeline)
        records = self._store.steps(pipeline.key)
        steps = tuple(self._view(pipeline, step, records.get(step.id)) for step in document.steps)
        result = pipeline.result if pipeline.status is PipelineStatus.SUCCEEDED else None
        return PipelineDetails.of(pipeline, inputs=inputs, steps=steps, result=result)

    def _view(self, pipeline: Pipeline, step: Step, record: StepRecord | None) -> StepView:
        known: JsonObject = {"id": step.id, "runtime": step.runtime, "type": step.type, "needs": needs_of(step)}
        kept = record is not None and (record.run == pipeline.run or record.status is StepStatus.SUCCEEDED)
        if record is None or not kept:
            return StepView(status="waiting", **known)
        told = {name: getattr(record, name) for name in ("status", "items", "images", "started_at", "finished_at")}
        view = StepView(**known, **told, done=record.done, error=record.error, progress=1.0)
        if record.status.ended:
            return view
        tasks = [self._task_progress(it, pipeline.owner) for it in self._assignments(pipeline, step)]
        progress = sum(tasks) / max(1, record.items)
        return view.model_copy(update={"progress": round(min(1.0, progress), 3), "done": tasks.count(1.0)})

    def _assignments(self, pipeline: Pipeline, step: Step) -> list[Assignment]:
        return list(islice(self._store.assignments(pipeline.key, step.id), _WATCHED))

    def _task_progress(self, assignment: Assignment, owner: str) -> float:
        task = self.submissions.files.task(assignment, owner)
        if task is None:
            return 0.0
        return 1.0 if task.status.ended else min(0.99, task.progress or 0.0)
