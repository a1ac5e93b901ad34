"""A small engine of Amazon States Language, for tests: the JSONPath subset that our state machines use.

It runs the files of `statemachines/` with functions in this process, one iteration of a Map after the other, and
without waiting. It counts the states and transitions that it visits, and holds every state's data to AWS's limit.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
LIMIT = 262_144
Json = Any


class StateError(Exception):
    """What a state fails with: an error name and its cause."""

    def __init__(self, name: str, cause: str = "") -> None:
        super().__init__(f"{name}: {cause}")
        self.name = name
        self.cause = cause


def definition(name: str) -> dict[str, Any]:
    """One of our state machines."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "statemachines" / f"{name}.asl.yaml").read_text())
    return found


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


@dataclass
class Engine:
    """Runs one state machine. `invoke` is a function's answer to a payload; `wait` what a waiting task comes to."""

    machine: dict[str, Any]
    invoke: Callable[[str, Json], Json]
    wait: Callable[[Json], Json]
    visits: Counter[tuple[str, str]] = field(default_factory=Counter)
    waited: list[float] = field(default_factory=list)
    tokens: int = 0
    largest: int = 0

    def run(self, input_: Json, name: str) -> tuple[str, Json]:
        """`("SUCCEEDED", output)` or `(error, cause)`."""
        context = {"Execution": {"Input": input_, "Name": name, "Id": f"arn:{name}"}}
        try:
            return "SUCCEEDED", self._machine(self.machine, input_, context)
        except StateError as error:
            return error.name, error.cause

    def _machine(self, machine: Mapping[str, Any], data: Json, context: Json) -> Json:
        name = machine["StartAt"]
        while True:
            state = machine["States"][name]
            self._measure(data)
            data, following = self._state(state, data, context)
            self.visits[name, following or "End"] += 1
            if following is None:
                self._measure(data)
                return data
            name = following

    def _measure(self, data: Json) -> None:
        self.largest = max(self.largest, len(json.dumps(data)))
        assert self.largest < LIMIT

    def _state(self, state: Mapping[str, Any], data: Json, context: Json) -> tuple[Json, str | None]:
        match state["Type"]:
            case "Choice":
                return data, next((c["Next"] for c in state["Choices"] if _chosen(c, data)), state["Default"])
            case "Wait":
                self.waited.append(at(state["SecondsPath"], data, context))
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
        self.tokens += 1
        context = {**context, "Task": {"Token": f"token-{self.tokens}"}}
        payload = json.loads(json.dumps(filled(state["Parameters"]["Payload"], data, context)))
        self._measure(payload)
        if state["Resource"].endswith(".waitForTaskToken"):
            at(state["HeartbeatSecondsPath"], data, context)
            assert at(state["HeartbeatSecondsPath"], data, context) < at(state["TimeoutSecondsPath"], data, context)
            self._retried(state, payload)
            return self.wait(payload)
        answer = {"Payload": json.loads(json.dumps(self._retried(state, payload)))}
        return filled(state["ResultSelector"], answer, context) if "ResultSelector" in state else answer

    def _retried(self, state: Mapping[str, Any], payload: Json) -> Json:
        function = state["Parameters"]["FunctionName"]
        retriers = [{**retrier, "left": retrier["MaxAttempts"]} for retrier in state.get("Retry", [])]
        while True:
            try:
                return self.invoke(function, payload)
            except StateError as error:
                able = [r for r in retriers if error.name in r["ErrorEquals"] and r["left"]]
                if not able:
                    raise
                able[0]["left"] -= 1

    def _map(self, state: Mapping[str, Any], data: Json, context: Json) -> Json:
        assert at(state["MaxConcurrencyPath"], data, context) >= 1
        results = []
        for index, item in enumerate(at(state["ItemsPath"], data, context)):
            inner = {**context, "Map": {"Item": {"Index": index, "Value": item}}}
            results.append(self._machine(state["ItemProcessor"], filled(state["ItemSelector"], data, inner), inner))
        self._measure(results)
        return results


def _chosen(choice: Mapping[str, Any], data: Json) -> bool:
    value = at(choice["Variable"], data, {})
    return bool(value == choice.get("BooleanEquals", choice.get("StringEquals")))


def transitions(machine: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Every transition that a state machine has, from a state to the next or to `End`; of failing ones, none."""
    found: set[tuple[str, str]] = set()
    for name, state in machine["States"].items():
        following = [state.get("Next"), state.get("Default")]
        following += [it["Next"] for it in [*state.get("Choices", []), *state.get("Catch", [])]]
        if state.get("End") or state["Type"] == "Succeed":
            following.append("End")
        found |= {(name, it) for it in following if it is not None}
        if state["Type"] == "Map":
            found |= transitions(state["ItemProcessor"])
    return found
