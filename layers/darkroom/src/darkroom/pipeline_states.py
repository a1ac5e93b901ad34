"""What the states of the state machines ask the functions to do: JSON in, JSON out.

An event says what to do in `do`; `pipeline` is the run's key. Both the state machine files and the functions go by
this module.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from darkroom.models import JsonObject
from darkroom.pipeline_submissions import PipelineSubmissions, key_of
from darkroom.pipeline_tasks import PipelineTasks, Ticket
from darkroom.pipelines import PipelineKey, PipelineStatus
from darkroom.task_starts import reason_of
from darkroom.tasks import TaskError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAX_CAUSE = 1000  # characters of a reason that are passed on


@dataclass(frozen=True)
class PipelineStates:
    """Decides what happens next: the function `plan_pipeline`."""

    submissions: PipelineSubmissions
    tasks: PipelineTasks

    def handle(self, event: JsonObject, now: datetime) -> JsonObject:
        """Do what a state asks for.

        Raises:
            PipelineStoppedError: the pipeline has ended; its state machine goes to its end.
            RequestError: the document is wrong.
        """
        actions: Mapping[str, Callable[[JsonObject, datetime], JsonObject]] = {
            "plan": self._plan,
            "layer": self._layer,
            "prepare": self._prepare,
            "judge": self._judge,
            "end_step": self._end_step,
            "end": self._end,
        }
        return actions[event["do"]](event, now)

    def _plan(self, event: JsonObject, now: datetime) -> JsonObject:
        pipeline = self.submissions.plan(event["input"], event["name"], now)
        return {"owner": pipeline.owner, "id": pipeline.id, "run": pipeline.run}

    def _layer(self, event: JsonObject, now: datetime) -> JsonObject:
        layer = self.tasks.runs.next_layer(*_run(event), now)
        return {**layer, "more": bool(layer["steps"])}

    def _prepare(self, event: JsonObject, now: datetime) -> JsonObject:
        return self.tasks.runs.prepare_step(*_run(event), event["step"], event["width"], now)

    def _judge(self, event: JsonObject, now: datetime) -> JsonObject:
        return self.tasks.judge(ticket(event), event["reason"], now)

    def _end_step(self, event: JsonObject, now: datetime) -> JsonObject:
        return {"status": self.tasks.end_step(*_run(event), event["step"], now)}

    def _end(self, event: JsonObject, now: datetime) -> JsonObject:
        key, run = key_of(event["input"], event["name"])
        state = event["state"]
        found = state if "Error" in state else state.get("failure")
        failure = None
        if found is not None:
            failure = TaskError(type=found["Error"], message=reason_of(found)[:_MAX_CAUSE])
        status = self.tasks.runs.end(key, run, failure, now)
        pipeline = self.tasks.runs.store.get(key)
        error = pipeline.error if pipeline is not None else failure
        return {
            "id": key.id,
            "status": status,
            "result": pipeline.result if pipeline is not None and status is PipelineStatus.SUCCEEDED else None,
            "cause": f"{error.type}: {error.message}" if error is not None else status.value,
        }


def ticket(event: JsonObject) -> Ticket:
    """Which item of which step a state is about."""
    key, run = _run(event)
    return Ticket(key, run, event["step"], event["index"], event["attempt"], event.get("token", ""))


def _run(event: JsonObject) -> tuple[PipelineKey, int]:
    pipeline = event["pipeline"]
    return PipelineKey(pipeline["owner"], pipeline["id"]), pipeline["run"]
