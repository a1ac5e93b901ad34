"""A small engine of Amazon States Language in memory: the JSONPath subset that our state machines use.

It runs one iteration of a Map after the other, without waiting, and so runs many random pipelines in the time that
moto's engine takes for one. What the two make of a pipeline is the same: `test_pipeline_runs` says so.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from tests.pipelines.machines import Execution, Function, Json, SilentTaskError, StateError, Wait, definition


def at(path: str, data: Json, context: Json) -> Json:
    """What a path (`$.a.b`, `$$.a`) finds."""
    value = context if path.startswith("$$") else data
    for part in [p for p in path.lstrip("$").split(".") if p]:
        value = value[part]
    return value


def filled(template: Json, data: Json, context: Json) -> Json:
    """A payload template with its paths replaced."""
    if isinstance(template, dict):
        return {
            key.removesuffix(".$"): at(value, data, context) if key.endswith(".$") else filled(value, data, context)
            for key, value in template.items()
        }
    return template


def put(path: str | None, data: Json, result: Json) -> Json:
    """The data with a result at a path (one name deep)."""
    if path is None:
        return data
    name = path.removeprefix("$").removeprefix(".")
    return {**data, name: result} if name else result


class InMemoryMachines:
    """Runs state machines as `Machines` does."""

    def __init__(self) -> None:
        self._definitions: dict[str, Json] = {}
        self._tokens = count()

    def run(self, machine: str, input_: Json, name: str, function: Function, wait: Wait) -> Execution:
        """Run an execution to its end. It keeps no history."""
        if machine not in self._definitions:
            self._definitions[machine] = definition(machine)
        context = {"Execution": {"Input": input_, "Name": name, "Id": f"arn:{name}"}}
        try:
            output = _Run(function, wait, self._tokens).run(self._definitions[machine], input_, context)
        except StateError as error:
            return Execution({"status": "FAILED", "error": error.name, "cause": error.cause}, [])
        return Execution({"status": "SUCCEEDED", "output": json.dumps(output)}, [])


@dataclass(frozen=True)
class _Run:
    """One execution."""

    function: Function
    wait: Wait
    tokens: "count[int]"

    def run(self, machine: Mapping[str, Any], data: Json, context: Json) -> Json:
        """Run a machine, or what a Map runs for each item, and return its output."""
        name = machine["StartAt"]
        while name is not None:
            data, name = self._state(machine["States"][name], data, context)
        return data

    def _state(self, state: Mapping[str, Any], data: Json, context: Json) -> tuple[Json, str | None]:
        match state["Type"]:
            case "Choice":
                return data, next((c["Next"] for c in state["Choices"] if _chosen(c, data)), state["Default"])
            case "Wait":
                return data, state["Next"]
            case "Succeed" | "Pass":
                return at(state.get("OutputPath", "$"), data, context), None
            case "Fail":
                raise StateError(state["Error"], at(state["CausePath"], data, context))
        try:
            result = self._map(state, data, context) if state["Type"] == "Map" else self._task(state, data, context)
        except StateError as error:
            for catcher in state.get("Catch", []):
                failure = {"Error": error.name, "Cause": error.cause}
                return put(catcher["ResultPath"], data, failure), catcher["Next"]
            raise
        data = put(state.get("ResultPath", "$"), data, result)
        return at(state.get("OutputPath", "$"), data, context), state.get("Next")

    def _task(self, state: Mapping[str, Any], data: Json, context: Json) -> Json:
        payload, answer = self._call(state, data, context)
        if state["Resource"].endswith(".waitForTaskToken"):
            try:
                return self.wait(payload)
            except SilentTaskError:
                raise StateError("States.HeartbeatTimeout") from None
        return filled(state["ResultSelector"], answer, context) if "ResultSelector" in state else answer

    def _call(self, state: Mapping[str, Any], data: Json, context: Json) -> tuple[Json, Json]:
        """Call a state's function, again where the state says so: its payload and its answer."""
        name = state["Parameters"]["FunctionName"].removeprefix("${").removesuffix("}")
        left = [retrier["MaxAttempts"] for retrier in state.get("Retry", [])]
        while True:
            token = {"Task": {"Token": f"token-{next(self.tokens)}"}}
            payload = json.loads(json.dumps(filled(state["Parameters"]["Payload"], data, context | token)))
            try:
                return payload, {"Payload": json.loads(json.dumps(self.function(name, payload)))}
            except StateError as error:
                able = [
                    n for n, it in enumerate(state.get("Retry", [])) if error.name in it["ErrorEquals"] and left[n]
                ]
                if not able:
                    raise
                left[able[0]] -= 1

    def _map(self, state: Mapping[str, Any], data: Json, context: Json) -> Json:
        results = []
        for index, item in enumerate(at(state["ItemsPath"], data, context)):
            inner = {**context, "Map": {"Item": {"Index": index, "Value": item}}}
            results.append(self.run(state["ItemProcessor"], filled(state["ItemSelector"], data, inner), inner))
        return results


def _chosen(choice: Mapping[str, Any], data: Json) -> bool:
    value = at(choice["Variable"], data, {})
    return bool(value == choice.get("BooleanEquals", choice.get("StringEquals")))
