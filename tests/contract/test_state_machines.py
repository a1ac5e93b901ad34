"""The state machine files: each is linted as CloudFormation would see it, and every state says what it is for."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint.api import lint_all
from tests.pipelines.engine import Engine, StateError, definition, transitions

from darkroom import tasks
from darkroom.errors import DarkroomError
from darkroom.models import now
from darkroom.runtimes import Runtime, RuntimeType
from darkroom.task_calls import TaskCalls, task_key
from darkroom.task_starts import TaskStarts
from darkroom.tasks import TaskError
from darkroom.testing import InMemoryBlobStore, InMemoryRuntimeRegistry, InMemoryTaskStore

ROOT = Path(__file__).parents[2]
OURS = ("pipeline", "run_task")
_FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:x"
TRANSIENT = {"Lambda.ServiceException", "Lambda.TooManyRequestsException", "Lambda.SdkClientException"}


def states(machine: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in machine["States"].items():
        yield name, state
        if state["Type"] == "Map":
            yield from states(state["ItemProcessor"])


@pytest.mark.parametrize("path", sorted(ROOT.glob("statemachines/*.asl.yaml")), ids=lambda path: path.name)
def test_a_state_machine_passes_the_linter(path: Path) -> None:
    text = json.dumps(yaml.safe_load(path.read_text()))
    text = re.sub(r"\$\{\w+\}", _FUNCTION, text.replace("${Partition}", "aws"))
    properties = {"RoleArn": "arn:aws:iam::123456789012:role/x", "DefinitionString": text}
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}

    found = lint_all(json.dumps({"Resources": {"Machine": machine}}))

    assert [match for match in found if match.rule.severity != "informational"] == []


@pytest.mark.parametrize("name", OURS)
def test_every_state_has_a_comment_and_every_call_is_tried_again_after_a_transient_fault(name: str) -> None:
    found = list(states(definition(name)))

    assert len({state for state, _ in found}) == len(found)
    assert [state for state, body in found if not body.get("Comment")] == []
    for state, body in found:
        if body["Type"] == "Task":
            (retrier,) = body["Retry"]
            assert set(retrier["ErrorEquals"]) >= TRANSIENT, state
        if str(body.get("Resource", "")).endswith(".waitForTaskToken"):
            assert {"TimeoutSecondsPath", "HeartbeatSecondsPath", "Catch"} <= set(body)


def test_no_data_but_keys_and_numbers_travels_between_states() -> None:
    """What a function answers is picked field by field."""
    for name, body in states(definition("pipeline")):
        if body["Type"] == "Task" and not body["Resource"].endswith(".waitForTaskToken"):
            assert "ResultSelector" in body, name


class Calls:
    """`run_task` with everything in memory; `ends` is how the task does, None where it says nothing."""

    def __init__(self, ends: str | None) -> None:
        runtime = Runtime(name="sdruntime", type=RuntimeType.SDWEBUI)
        self.tasks = InMemoryTaskStore()
        starts = TaskStarts(self.tasks, InMemoryBlobStore(), "bucket")
        self.calls = TaskCalls(starts, InMemoryRuntimeRegistry({"sdruntime": runtime}), 3600)
        self.engine = Engine(definition("run_task"), self._invoke, self._wait)
        self._ends = ends

    def _invoke(self, _: str, payload: dict[str, Any]) -> Any:
        try:
            return self.calls.handle(payload, now())
        except DarkroomError as error:
            raise StateError(type(error).__name__, str(error)) from error

    def _wait(self, payload: dict[str, Any]) -> Any:
        key = task_key(payload["input"], payload["name"])
        if self._ends is None:
            raise StateError("States.HeartbeatTimeout")
        if self._ends == "cancelled":
            self.tasks.apply(key, tasks.cancel(now()))
            raise StateError("TaskCancelled")
        task = self.tasks.apply(key, tasks.claim(now(), now() - now()))
        if self._ends.startswith("succeeded"):
            self.tasks.apply(key, tasks.succeed(now(), task.attempt, images=(), output_url=None, timings=None))
            if self._ends == "succeeded":
                return {"status": "succeeded"}
            raise StateError("States.Timeout")
        self.tasks.apply(key, tasks.fail(now(), task.attempt, TaskError(type="boom", message="it broke")))
        raise StateError("TaskFailed")


CALL = {"runtime": "sdruntime", "type": "text-to-image", "content": {"prompt": "a dog", "steps": 4}}


@pytest.mark.parametrize(
    ("ends", "call", "status"),
    [
        pytest.param("succeeded", CALL, "SUCCEEDED", id="it succeeds"),
        pytest.param("succeeded in silence", CALL, "SUCCEEDED", id="it succeeds, and its word is lost"),
        pytest.param("failed", CALL, "TaskFailed", id="it fails"),
        pytest.param("cancelled", CALL, "TaskCancelled", id="it is cancelled"),
        pytest.param(None, CALL, "TaskFailed", id="it takes too long"),
        pytest.param("succeeded", CALL | {"runtime": "typo"}, "TaskFailed", id="it is wrong"),
    ],
)
def test_run_task_ends_as_its_task_does(ends: str | None, call: dict[str, Any], status: str) -> None:
    calls = Calls(ends)

    assert calls.engine.run(call, "x")[0] == status
    task = calls.tasks.get(task_key(call, "x"))
    assert task is None or task.status.ended


def test_every_transition_of_run_task_is_run() -> None:
    visited: set[tuple[str, str]] = set()
    for ends, call in (("succeeded", CALL), ("succeeded in silence", CALL), ("failed", CALL), ("cancelled", CALL)):
        calls = Calls(ends)
        calls.engine.run(call, "x")
        visited |= set(calls.engine.visits)
    wrong = Calls("failed")
    wrong.engine.run({}, "x")

    assert transitions(definition("run_task")) - visited - set(wrong.engine.visits) == set()
