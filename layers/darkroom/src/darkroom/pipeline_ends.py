"""What follows when a pipeline ends: nothing of it goes on."""

import json
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from darkroom.pipeline_ports import PipelineStore
from darkroom.pipeline_submissions import key_of
from darkroom.pipelines import End, Pipeline, PipelineKey, PipelineStatus, StepStatus
from darkroom.task_starts import TaskStarts
from darkroom.tasks import Task, TaskError

PATIENCE = 10.0
"""How long after an execution's end something that it had just begun may appear, in seconds."""

_LOOK_EVERY = 0.5
_ENDS = {"ABORTED": PipelineStatus.CANCELLED}


@dataclass(frozen=True)
class PipelineEnds:
    """The use case."""

    store: PipelineStore
    starts: TaskStarts
    patience: float = PATIENCE

    def clear(self, pipeline: Pipeline, now: datetime) -> list[Task]:
        """Cancel the unfinished tasks of a run that has ended, and close its steps. Returns those cancelled."""
        cancelled = []
        for assignment in self.store.assignments(pipeline.key):
            key = assignment.key(pipeline.owner)
            task = self.starts.store.get(key) if key is not None and assignment.run == pipeline.run else None
            if task is not None and not task.status.ended:
                cancelled.append(self.starts.cancel(task, now))
        for record in self.store.steps(pipeline.key).values():
            if not record.status.ended and record.run == pipeline.run:
                closed = {"status": StepStatus.CANCELLED, "finished_at": now}
                self.store.put_step(pipeline.key, record.model_copy(update=closed))
        return cancelled

    def on_execution(self, detail: dict[str, Any], now: datetime) -> PipelineKey | None:
        """End a run whose execution did not come to its own end: it was stopped, ran out of time, or failed.

        Args:
            detail: of Step Functions' event "Step Functions Execution Status Change".
            now: the time.

        Returns:
            The pipeline, where there was something to end.
        """
        status = _ENDS.get(detail["status"], PipelineStatus.FAILED)
        error = TaskError(type=detail.get("error") or detail["status"].lower(), message=detail.get("cause") or "")
        key, run = key_of(_input(detail), detail["name"])
        self._await_plan(key)
        return key if self.store.end(key, run, End(now, status, error)) else None

    def _await_plan(self, key: PipelineKey) -> None:
        """Wait for the pipeline of an execution that was stopped while its first state was at work."""
        until = time.monotonic() + self.patience
        while self.store.get(key) is None and time.monotonic() < until:
            time.sleep(_LOOK_EVERY)


def _input(detail: dict[str, Any]) -> dict[str, Any]:
    """The execution's input. The event leaves out a long one, which only a document can be."""
    found = json.loads(detail.get("input") or "{}")
    return found if isinstance(found, dict) else {}
