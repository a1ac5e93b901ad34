"""Running a pipeline: what each state of the state machine `pipeline` asks for.

The state machine holds nothing but the pipeline's key and the number of its run; what has become of it is in the
store and in files. A pipeline that has ended, or is in a later run, is left alone: `PipelineStoppedError`.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from math import ceil

from darkroom.conditions import Condition
from darkroom.documents import MAX_ITEMS, Document, Step
from darkroom.errors import PipelineStoppedError
from darkroom.graphs import final_steps, needs_of, step_mentions
from darkroom.models import JsonObject
from darkroom.pipeline_files import PipelineFiles
from darkroom.pipeline_ports import PipelineStore
from darkroom.pipelines import (
    End,
    Pipeline,
    PipelineKey,
    PipelineStatus,
    StepRecord,
    StepResult,
    StepStatus,
)
from darkroom.references import Json, ReferenceFailedError, ResultMissingError, mentions, resolve
from darkroom.tasks import TaskError

HEARTBEAT = 900
"""How long a task's word may be missing, in seconds, until the state machine looks itself. `beat_tasks` comes every
minute."""

_IMAGES_IN_HEADER = 100
_INLINE_WIDTH = 40  # more iterations of an inline Map AWS does not run at once


@dataclass(frozen=True)
class Run:
    """One run of a pipeline as one invocation sees it."""

    store: PipelineStore
    files: PipelineFiles
    pipeline: Pipeline

    @property
    def key(self) -> PipelineKey:
        """What names the pipeline."""
        return self.pipeline.key

    @cached_property
    def _saved(self) -> tuple[Document, JsonObject]:
        return self.files.load(self.pipeline)

    @property
    def document(self) -> Document:
        """What is to be done."""
        return self._saved[0]

    @property
    def inputs(self) -> JsonObject:
        """What it was given."""
        return self._saved[1]

    def items(self, step: Step) -> list[Json] | None:
        """What a step with `foreach` goes over.

        Raises:
            ReferenceFailedError: it refers to nothing, to what is no list, or to too many.
        """
        if step.foreach is None:
            return None
        found = resolve(step.foreach, self.files.scope(self.pipeline, self.inputs).look)
        if not isinstance(found, list):
            raise ReferenceFailedError(f"{step.foreach} is no list")
        if len(found) > MAX_ITEMS:
            raise ReferenceFailedError(f"{step.foreach} has {len(found)} items, at most {MAX_ITEMS} are taken")
        return found

    def finish_step(self, record: StepRecord, result: StepResult, now: datetime) -> None:
        """Write a step's end; where it failed and must not, the pipeline fails with it.

        Raises:
            PipelineStoppedError: the pipeline has ended.
        """
        self.files.put_result(self.pipeline, result)
        self.store.put_step(
            self.key,
            record.model_copy(
                update={
                    "status": result.status,
                    "finished_at": now,
                    "done": len(result.items),
                    "images": len(result.images),
                }
            ),
        )
        if result.status is StepStatus.FAILED and self.document.step(record.id).on_failure == "fail":
            told = record.error or TaskError(type="failed", message="no reason is known")
            error = told.model_copy(update={"message": f"step {record.id}: {told.message}"})
            self.store.end(self.key, self.pipeline.run, End(now, PipelineStatus.FAILED, error))
            raise PipelineStoppedError


@dataclass(frozen=True)
class PipelineRuns:
    """The use cases of the pipeline's own states. `longest` is how long a task may take, in seconds."""

    store: PipelineStore
    files: PipelineFiles
    longest: int

    def open(self, key: PipelineKey, run: int, now: datetime) -> Run:
        """A run that is on. One whose deadline has passed ends here.

        Raises:
            PipelineStoppedError: it is not on.
        """
        found = self._find(key, run)
        if now >= found.pipeline.expires_at:
            error = TaskError(type="deadline", message="the pipeline was not finished before its deadline")
            self.store.end(key, run, End(now, PipelineStatus.FAILED, error))
            raise PipelineStoppedError
        return found

    def _find(self, key: PipelineKey, run: int) -> Run:
        pipeline = self.store.get(key)
        if pipeline is None or pipeline.run != run or pipeline.status.ended:
            raise PipelineStoppedError
        return Run(self.store, self.files, pipeline)

    def next_layer(self, key: PipelineKey, run_number: int, now: datetime) -> JsonObject:
        """The steps that can begin now: `{"steps": [{id, prepared, timeout, heartbeat, width}], "width": …}`.

        No steps mean that nothing is left to do.
        """
        try:
            run = self.open(key, run_number, now)
        except PipelineStoppedError:
            return {"steps": [], "width": 1}
        pipeline, document = run.pipeline, run.document
        records = done_steps(self.store.steps(key), pipeline.run)
        ready = [
            step
            for step in document.steps
            if step.id not in records and all(name in records for name in needs_of(step))
        ]
        limit = document.max_parallel or MAX_ITEMS
        width = max(1, min(len(ready), limit, _INLINE_WIDTH))
        left = ceil((pipeline.expires_at - now).total_seconds()) + 1  # the heartbeat, too, ends after the deadline
        steps = [self._ticket(step, records, left, max(1, limit // width)) for step in ready]
        return {"steps": steps, "width": width}

    def _ticket(self, step: Step, records: dict[str, StepRecord], left: int, width: int) -> JsonObject:
        """What the state machine must know of a step. Its heartbeat has to be shorter than its timeout."""
        timeout = max(2, min(step.timeout_seconds or self.longest, left))
        asked = {m.reference.root for m in step_mentions(step, "") if m.reference is not None}
        lacking = any(records[name].status is not StepStatus.SUCCEEDED for name in asked & records.keys())
        return {
            "id": step.id,
            "prepared": step.foreach is not None or step.when is not None or lacking,
            "timeout": timeout,
            "heartbeat": min(HEARTBEAT, timeout - 1),
            "width": width,
        }

    def prepare_step(
        self, key: PipelineKey, run_number: int, step_id: str, width: int, now: datetime
    ) -> JsonObject:
        """Decide whether a step runs, and over what: `{"kind": "skip" | "task" | "items", "items": [indices]}`.

        `width` is how many tasks it may have at once; it comes back as no more than there are items.

        Raises:
            PipelineStoppedError: the pipeline has ended, perhaps by this step's failure.
        """
        run = self.open(key, run_number, now)
        step = run.document.step(step_id)
        record = StepRecord(id=step_id, status=StepStatus.RUNNING, run=run_number, started_at=now)
        try:
            if not self._wanted(run, step):
                return self._leave(run, record, StepStatus.SKIPPED, None, now)
            items = run.items(step)
        except ResultMissingError as error:
            reason = TaskError(type="skipped", message=str(error))
            return self._leave(run, record, StepStatus.SKIPPED, reason, now)
        except ReferenceFailedError as error:
            reason = TaskError(type="reference", message=str(error))
            return self._leave(run, record, StepStatus.FAILED, reason, now)
        if items is None:
            return {"kind": "task", "items": [], "width": 1}
        kept = self.files.succeeded(self.store.assignments(key, step_id), run.pipeline.owner)
        left = [index for index in range(len(items)) if index not in kept]
        self.store.put_step(key, record.model_copy(update={"items": len(items), "each": True, "done": len(kept)}))
        return {"kind": "items", "items": left, "width": max(1, min(width, len(left)))}

    def _wanted(self, run: Run, step: Step) -> bool:
        """Whether a step's condition holds, and what its content asks for is there.

        Raises:
            ReferenceFailedError: its condition, or its content, refers to nothing.
        """
        scope = self.files.scope(run.pipeline, run.inputs)
        if step.when is not None and not Condition.parse(step.when).holds(
            self.files.scope(run.pipeline, run.inputs, lenient=True).look
        ):
            return False
        for mention in mentions(step.content, ""):
            reference = mention.reference
            if reference is not None and reference.root not in {"item", "index"}:
                scope.look(reference)
        return True

    def _leave(
        self, run: Run, record: StepRecord, status: StepStatus, error: TaskError | None, now: datetime
    ) -> JsonObject:
        result = StepResult(id=record.id, status=status)
        run.finish_step(record.model_copy(update={"error": error, "items": 0}), result, now)
        return {"kind": "skip", "items": [], "width": 1}

    def end(self, key: PipelineKey, run_number: int, failure: TaskError | None, now: datetime) -> PipelineStatus:
        """End a run, unless it has ended: with `failure`, or as its steps say."""
        try:
            run = self._find(key, run_number)
        except PipelineStoppedError:
            pipeline = self.store.get(key)
            return PipelineStatus.FAILED if pipeline is None else pipeline.status
        records = done_steps(self.store.steps(key), run_number)
        left = [step.id for step in run.document.steps if step.id not in records]
        if failure is None and left:
            failure = TaskError(type="unfinished", message=f"these steps never ended: {', '.join(left)}")
        if failure is not None:
            self.store.end(key, run_number, End(now, PipelineStatus.FAILED, failure))
        else:
            found = [self.files.result(run.pipeline, step.id) for step in final_steps(run.document)]
            images = [image for result in found for image in result.images]
            self.files.put_images(run.pipeline, images)
            self.store.end(
                key, run_number, End(now, PipelineStatus.SUCCEEDED, images=tuple(images[:_IMAGES_IN_HEADER]))
            )
        pipeline = self.store.get(key)
        return PipelineStatus.FAILED if pipeline is None else pipeline.status


def done_steps(records: dict[str, StepRecord], run: int) -> dict[str, StepRecord]:
    """The steps that a run need not do: those that ended in it, and those that succeeded in an earlier one."""
    return {
        name: record
        for name, record in records.items()
        if record.status.ended and (record.run == run or record.status is StepStatus.SUCCEEDED)
    }
