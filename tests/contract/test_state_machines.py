"""The state machine files: each is linted as CloudFormation would see it, and every state says what it is for."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from tests.pipelines.machines import Machines, SilentTaskError, StateError, definition, states_of, unvisited
from tests.templates import lint, template

from darkroom import tasks
from darkroom.errors import DarkroomError
from darkroom.models import now
from darkroom.runtimes import Runtime, RuntimeType
from darkroom.task_calls import TaskCalls, task_key
from darkroom.task_starts import TaskStarts
from darkroom.tasks import TaskError
from darkroom.testing import InMemoryBlobStore, InMemoryRuntimeRegistry, InMemoryTaskStore

ROOT = Path(__file__).parents[2]
OURS = ("pipeline", "run_task", "run_batch")
COUNTED = {
    "pipeline": "test_pipeline_runs",
    "run_task": "here",
    "run_batch": "test_batches",
    "build_image_cache": "test_operations",
    "tune_volumes": "test_operations",
}
"""Which test runs every transition of a state machine."""
_FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:x"
TRANSIENT = {"Lambda.ServiceException", "Lambda.TooManyRequestsException", "Lambda.SdkClientException"}


@pytest.mark.parametrize("path", sorted(ROOT.glob("statemachines/*.asl.yaml")), ids=lambda path: path.name)
def test_a_state_machine_passes_the_linter(path: Path) -> None:
    text = json.dumps(yaml.safe_load(path.read_text()))
    text = re.sub(r"\$\{\w+\}", _FUNCTION, text.replace("${Partition}", "aws"))
    properties = {"RoleArn": "arn:aws:iam::123456789012:role/x", "DefinitionString": text}
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}

    assert lint(json.dumps({"Resources": {"Machine": machine}})) == []


def test_every_state_machine_is_logged_and_traced() -> None:
    resources = template("template")["Resources"]
    found = {
        name: it["Properties"] for name, it in resources.items() if it["Type"] == "AWS::Serverless::StateMachine"
    }

    assert len(found) >= len(OURS)
    for name, properties in found.items():
        assert properties["Tracing"] == {"Enabled": True}, name
        assert properties["Logging"]["Level"] in {"ERROR", "ALL"}, name
        assert properties["Logging"]["Destinations"], name


@pytest.mark.parametrize("name", OURS)
def test_every_state_has_a_comment_and_every_call_is_tried_again_after_a_transient_fault(name: str) -> None:
    found = list(states_of(definition(name)))

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
    for name, body in states_of(definition("pipeline")):
        if body["Type"] == "Task" and not body["Resource"].endswith(".waitForTaskToken"):
            assert "ResultSelector" in body, name


CALL = {"runtime": "sdruntime", "type": "text-to-image", "content": {"prompt": "a dog", "steps": 4}}
SHORT = CALL | {"timeout_seconds": 2}
CASES: dict[str, tuple[str | None, Any, str]] = {
    "it succeeds": ("succeeded", CALL, "SUCCEEDED"),
    "it succeeds, and its word is lost": ("succeeded in silence", SHORT, "SUCCEEDED"),
    "it fails": ("failed", CALL, "TaskFailed"),
    "it is cancelled": ("cancelled", CALL, "TaskCancelled"),
    "it takes too long": (None, SHORT, "TaskFailed"),
    "its runtime is unknown": ("succeeded", CALL | {"runtime": "typo"}, "TaskFailed"),
    "it is no task": ("succeeded", {}, "TaskFailed"),
}


class Calls:
    """`run_task` with its world in memory; `ends` is how the task does, None where it says nothing."""

    def __init__(self, machines: Machines, ends: str | None, call: Any, machine: str = "run_task") -> None:
        runtime = Runtime(name="sdruntime", type=RuntimeType.SDWEBUI)
        self._ends = ends
        self._tasks = InMemoryTaskStore()
        starts = TaskStarts(self._tasks, InMemoryBlobStore(), "bucket")
        self._calls = TaskCalls(starts, InMemoryRuntimeRegistry({"sdruntime": runtime}), 3600)
        name = f"call-{uuid4().hex[:8]}"
        self.execution = machines.run(machine, call, name, self._invoke, self._wait)
        self.task = self._tasks.get(task_key(call, name))

    def _invoke(self, _: str, payload: dict[str, Any]) -> Any:
        try:
            return self._calls.handle(payload, now())
        except DarkroomError as error:
            raise StateError(type(error).__name__, str(error)) from error

    def _wait(self, payload: dict[str, Any]) -> Any:
        key = task_key(payload["input"], payload["name"])
        if self._ends is None:
            raise SilentTaskError
        if self._ends == "cancelled":
            self._tasks.apply(key, tasks.cancel(now()))
            raise StateError("TaskCancelled")
        task = self._tasks.apply(key, tasks.claim(now(), timedelta(seconds=60)))
        if self._ends.startswith("succeeded"):
            self._tasks.apply(key, tasks.succeed(now(), task.attempt, images=(), output_url=None, timings=None))
            if self._ends == "succeeded":
                return {"status": "succeeded"}
            raise SilentTaskError
        self._tasks.apply(key, tasks.fail(now(), task.attempt, TaskError(type="boom", message="it broke")))
        raise StateError("TaskFailed")


@pytest.fixture(scope="module")
def ended(machines: Machines) -> dict[str, Calls]:
    """Every case, run once."""
    return {case: Calls(machines, ends, call) for case, (ends, call, _) in CASES.items()}


@pytest.mark.parametrize("case", CASES)
def test_run_task_ends_as_its_task_does(ended: dict[str, Calls], case: str) -> None:
    assert ended[case].execution.end[0] == CASES[case][2]
    task = ended[case].task
    assert task is None or task.status.ended


def test_every_transition_of_run_task_is_run(ended: dict[str, Calls]) -> None:
    assert unvisited("run_task", [calls.execution for calls in ended.values()]) == set()


@pytest.mark.parametrize(("ends", "status"), [("succeeded", "SUCCEEDED"), ("failed", "States.TaskFailed")])
def test_anyones_state_machine_can_run_a_task_and_hears_how_it_ended(
    machines: Machines, ends: str, status: str
) -> None:
    asked = {"StateMachineArn": machines.arn("run_task"), "Name.$": "$$.Execution.Name", "Input.$": "$"}
    draw = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": asked}
    machines.arn("anyones", {"StartAt": "Draw", "States": {"Draw": {**draw, "End": True}}})

    error, output = Calls(machines, ends, CALL, "anyones").execution.end

    assert error == status
    if ends == "succeeded":
        assert output["Output"] == {"status": "succeeded"}
    else:
        assert "TaskFailed" in output


def test_the_states_of_every_state_machine_are_counted_somewhere() -> None:
    files = {path.name.partition(".")[0] for path in ROOT.glob("statemachines/*.asl.yaml")}

    assert files == COUNTED.keys()
