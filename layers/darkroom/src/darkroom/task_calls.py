"""One task on behalf of anyone's state machine: what the states of `run_task` ask for."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field, ValidationError

from darkroom.content import check_content, field_errors, take_model
from darkroom.documents import MAX_DEADLINE
from darkroom.errors import FieldError, InvalidRequestError
from darkroom.models import JsonObject, Model
from darkroom.pipeline_runs import HEARTBEAT
from darkroom.pipelines import SHARED_OWNER
from darkroom.ports import RuntimeRegistry
from darkroom.requests import Context, Name, Prefix, fingerprint
from darkroom.restrictions import out_of_reach
from darkroom.task_starts import TaskStarts, reason_of
from darkroom.tasks import Task, TaskKey, TaskStatus, TaskType

_LOOK_EVERY = 0.5


class TaskCall(Model):
    """The input of `run_task`. `owner` is the id of the API key that is to see the task."""

    runtime: Name
    type: TaskType
    content: JsonObject
    prefix: Prefix = "output"
    context: Context = Field(default_factory=dict)
    timeout_seconds: Annotated[int, Field(ge=1, le=MAX_DEADLINE)] | None = None
    owner: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,64}$")] = SHARED_OWNER


@dataclass(frozen=True)
class TaskCalls:
    """The use case. The task is named as its execution, so an execution can have one only."""

    starts: TaskStarts
    registry: RuntimeRegistry
    longest: int

    def handle(self, event: JsonObject, now: datetime) -> JsonObject:
        """Do what a state asks for.

        Raises:
            InvalidRequestError: the input is wrong.
        """
        actions: Mapping[str, Callable[[JsonObject, datetime], JsonObject]] = {
            "accept_task": self._accept,
            "start_task": self._start,
            "end_task": self._end,
        }
        return actions[event["do"]](event, now)

    def _accept(self, event: JsonObject, now: datetime) -> JsonObject:
        del now
        call = read_call(event["input"])
        runtime = self.registry.all().get(call.runtime) or self.registry.refresh().get(call.runtime)
        if runtime is None:
            raise InvalidRequestError(fields=[FieldError("runtime", f"there is no runtime {call.runtime!r}")])
        if not runtime.can_do(call.type):
            raise InvalidRequestError(fields=[FieldError("type", f"the runtime does not do {call.type}")])
        if faults := list(out_of_reach(runtime, call.owner, call.prefix)):
            raise InvalidRequestError(fields=faults)
        timeout = max(2, call.timeout_seconds or self.longest)
        return {"timeout": timeout, "heartbeat": min(HEARTBEAT, timeout - 1)}

    def _start(self, event: JsonObject, now: datetime) -> JsonObject:
        """Start the task. One of an earlier token, which nobody waits with any more, is cancelled."""
        call, token = read_call(event["input"]), event["token"]
        key = task_key(event["input"], event["name"])
        old = self.starts.store.get(key)
        if old is not None and not old.status.ended and old.task_token != token:
            self.starts.cancel(old, now)
        content, model = take_model(call.content)
        task = Task(
            owner=key.owner,
            id=key.id,
            runtime=call.runtime,
            type=call.type,
            prefix=call.prefix,
            output_location=f"s3://{self.starts.bucket}/{call.prefix}/{key.id}",
            fingerprint=fingerprint({"token": token}),
            created_at=now,
            expires_at=now + timedelta(seconds=self.longest),
            content=content,
            context=call.context,
            model=model if isinstance(model, str) else None,
            task_token=token,
        )
        return {"id": self.starts.start(task).id}

    def _end(self, event: JsonObject, now: datetime) -> JsonObject:
        """Say how the task ended; one that has not is cancelled, since nobody waits for it any more."""
        failure = event["failure"]
        task = self.starts.store.get(task_key(event["input"], event["name"]))
        if task is None:
            return {"status": TaskStatus.FAILED, "cause": f"{failure['Error']}: {reason_of(failure)}"[:1000]}
        late = not task.status.ended
        if late:
            task = self.starts.cancel(task, now)
        if late and task.status is TaskStatus.CANCELLED:
            return {"status": TaskStatus.EXPIRED, "cause": "timeout: the task took longer than it may"}
        error = task.error
        cause = f"{error.type}: {error.message}" if error is not None else task.status.value
        return {"status": task.status, "cause": cause}


def stop_call(
    starts: TaskStarts, input_: Mapping[str, Any], name: str, now: datetime, patience: float
) -> Task | None:
    """Cancel the task of an execution that was stopped; None where there is nothing to cancel.

    The invocation that starts it may be under way: its task is waited for, `patience` seconds at most.
    """
    until = time.monotonic() + patience
    while (task := starts.store.get(task_key(input_, name))) is None and time.monotonic() < until:
        time.sleep(_LOOK_EVERY)
    return starts.cancel(task, now) if task is not None and not task.status.ended else None


def read_call(input_: object) -> TaskCall:
    """Read the input.

    Raises:
        InvalidRequestError: it is wrong; `fields` has the path of every fault.
    """
    try:
        call = TaskCall.model_validate(input_)
    except ValidationError as error:
        raise InvalidRequestError(fields=field_errors(error)) from error
    check_content(call.type, call.content, "content")
    return call


def task_key(input_: Mapping[str, Any], name: str) -> TaskKey:
    """What names the task of an execution."""
    owner = input_.get("owner")
    readable = re.sub(r"[^A-Za-z0-9_-]", "-", name)
    return TaskKey(owner if isinstance(owner, str) else SHARED_OWNER, f"run-{readable}")
