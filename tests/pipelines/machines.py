"""Our state machines on moto's Step Functions, an engine that is not ours, with functions in this process.

The engine runs in the emulated AWS's process and calls functions by Lambda's Invoke API. It waits for nothing but
its tasks, and a second before it calls a function again that failed. The items of a step run inline, since moto
keeps no history of a distributed Map's executions; `tests/e2e` runs them as they are.
"""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

import yaml
from botocore.exceptions import ClientError

from darkroom_local.functions.invocations import Invocation, Kind
from darkroom_local.functions.invoke_api import invoke_application
from darkroom_local.loopback import LoopbackServer

ROOT = Path(__file__).parents[2]
LIMIT = 262_144
"""What Step Functions lets travel between states, in bytes."""

_ROLE = "arn:aws:iam::123456789012:role/machines"
_SECONDS = 60
_CALLS = 64  # of functions at once
_LAST = {"end", "end_task"}  # what a state machine asks for just before its end
_LOOK_EVERY, _LOOK_AT_THE_END_EVERY = 0.1, 0.005

Json = Any
Function = Callable[[str, Json], Json]
"""Answers a payload; the first argument is what the definition calls the function (`PlanFunction`)."""

Wait = Callable[[Json], Json]
"""What the task of a waiting state comes to."""


class StateError(Exception):
    """What a state fails with: an error name and its cause."""

    def __init__(self, name: str, cause: str = "") -> None:
        super().__init__(f"{name}: {cause}")
        self.name = name
        self.cause = cause


class SilentTaskError(Exception):
    """The task never says anything."""


def definition(name: str) -> dict[str, Any]:
    """One of our state machines."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "statemachines" / f"{name}.asl.yaml").read_text())
    return found


def states_of(machine: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state, those inside Maps included."""
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from states_of(state["ItemProcessor"])


def transitions(machine: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Every transition that a state machine has, from a state to the next or to `End`; of failing ones, none."""
    found: set[tuple[str, str]] = set()
    for name, state in states_of(machine):
        following = [state.get("Next"), state.get("Default")]
        following += [it["Next"] for it in [*state.get("Choices", []), *state.get("Catch", [])]]
        if state.get("End") or state["Type"] == "Succeed":
            following.append("End")
        found |= {(name, it) for it in following if it is not None}
    return found


@dataclass(frozen=True)
class Execution:
    """One execution that has ended, and its history."""

    description: Mapping[str, Any]
    events: list[dict[str, Any]]

    @property
    def end(self) -> tuple[str, Json]:
        """`("SUCCEEDED", output)` or `(error, cause)`."""
        if self.description["status"] == "SUCCEEDED":
            return "SUCCEEDED", json.loads(self.description["output"])
        return self.description["error"], self.description.get("cause", "")

    @cached_property
    def entered(self) -> list[str]:
        """The states that were entered, one after the other: what AWS bills."""
        return [it["stateEnteredEventDetails"]["name"] for it in self.events if "stateEnteredEventDetails" in it]

    @cached_property
    def visits(self) -> Counter[tuple[str, str]]:
        """Which state followed which; `End` where none did."""
        after = {
            it["previousEventId"]: it["stateEnteredEventDetails"]["name"]
            for it in self.events
            if "stateEnteredEventDetails" in it
        }
        exited = [it for it in self.events if "stateExitedEventDetails" in it]
        return Counter((it["stateExitedEventDetails"]["name"], after.get(it["id"], "End")) for it in exited)

    def inputs(self, state: str) -> list[Json]:
        """What a state was given, each time."""
        told = [it.get("stateEnteredEventDetails", {}) for it in self.events]
        return [json.loads(it["input"]) for it in told if it.get("name") == state]

    @property
    def largest(self) -> int:
        """The most that travelled between two states, in bytes."""
        return max(len(text.encode()) for event in self.events for text in _texts(event))


def _texts(event: Mapping[str, Any]) -> Iterator[str]:
    for name, details in event.items():
        if name.endswith("Details"):
            yield from (details[key] for key in ("input", "output", "parameters") if key in details)


class Machines:
    """Runs state machines. `client` is one of Step Functions."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._arns: dict[str, str] = {}
        self._runs: dict[str, tuple[Function, Wait]] = {}
        self._nearly_over: dict[str, Event] = {}
        self._pool = ThreadPoolExecutor(_CALLS, "functions")

    def run(self, machine: str, input_: Json, name: str, function: Function, wait: Wait) -> Execution:
        """Run an execution to its end. Its functions are told apart by `name`, which they all hear of."""
        self.answer(name, function, wait)
        nearly_over = self._nearly_over[name] = Event()
        started = self.client.start_execution(
            stateMachineArn=self.arn(machine), name=name, input=json.dumps(input_)
        )
        until = time.monotonic() + _SECONDS
        while (found := self.client.describe_execution(executionArn=started["executionArn"]))[
            "status"
        ] == "RUNNING":
            assert time.monotonic() < until, f"{name} has not ended"
            if nearly_over.wait(_LOOK_EVERY):  # asking costs more than the states do
                time.sleep(_LOOK_AT_THE_END_EVERY)
        pages = self.client.get_paginator("get_execution_history").paginate(executionArn=started["executionArn"])
        execution = Execution(found, [event for page in pages for event in page["events"]])
        assert execution.largest < LIMIT
        return execution

    def answer(self, name: str, function: Function, wait: Wait) -> None:
        """Say who answers for the functions of an execution."""
        self._runs[name] = function, wait

    def arn(self, machine: str, found: dict[str, Any] | None = None) -> str:
        """The state machine's ARN; `found` is its definition where it is none of ours."""
        if machine not in self._arns:
            text = json.dumps(hastened(found or definition(machine))).replace("${Partition}", "aws")
            text = re.sub(r"\$\{(\w+)\}", r"arn:aws:lambda:eu-west-1:123456789012:function:\1", text)
            made = self.client.create_state_machine(
                name=f"{machine}-{uuid4().hex[:8]}", definition=text, roleArn=_ROLE
            )
            self._arns[machine] = made["stateMachineArn"]
        return self._arns[machine]

    async def invoke(self, function_name: str, payload: bytes, *, kind: Kind = "RequestResponse") -> Invocation:
        """Lambda's side: see `darkroom_local.functions.invocations.Invoke`."""
        assert kind == "RequestResponse"
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._call, function_name, payload)

    def _call(self, name: str, body: bytes) -> Invocation:
        payload = json.loads(body)
        execution = payload.get("name") or (payload.get("pipeline") or payload["batch"])["id"]
        function, wait = self._runs[execution]
        try:
            answer = function(name, payload)
        except StateError as error:
            return Invocation.failed("", error.name, error.cause)
        finally:
            if payload["do"] in _LAST and execution in self._nearly_over:
                self._nearly_over[execution].set()
        if "token" in payload:
            self._pool.submit(self._answer, payload, wait)
        return Invocation("", json.dumps(answer).encode())

    def _answer(self, payload: Json, wait: Wait) -> None:
        """End a waiting state as its task ends."""
        token = payload["token"]
        try:
            self.client.send_task_success(taskToken=token, output=json.dumps(wait(payload)))
        except StateError as error:
            self.client.send_task_failure(taskToken=token, error=error.name, cause=error.cause)
        except (SilentTaskError, ClientError):  # nobody waits any more
            return


def hastened(machine: dict[str, Any]) -> dict[str, Any]:
    """The definition without waiting, and with everything in one history."""
    for _, state in states_of(machine):
        if state["Type"] == "Wait":
            del state["SecondsPath"]
            state["Seconds"] = 0
        if state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
            del state["Label"]
            state["ItemProcessor"]["ProcessorConfig"] = {"Mode": "INLINE"}
    return machine


@contextmanager
def running_machines(client: Any) -> Iterator[Machines]:
    """Machines whose functions the emulated AWS at the client's address can call."""
    machines = Machines(client)
    loop, server = (
        asyncio.new_event_loop(),
        LoopbackServer(invoke_application(machines.invoke, request_bytes=LIMIT * 2)),
    )
    thread = Thread(target=loop.run_forever, name="functions", daemon=True)
    thread.start()

    def do(work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(10)

    do(server.__aenter__())
    try:
        url = f"{client.meta.endpoint_url}/darkroom/functions"
        with urlopen(Request(url, server.url.encode(), method="PUT")):  # noqa: S310  our own server
            yield machines
    finally:
        do(server.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def unvisited(machine: str, executions: Iterable[Execution]) -> set[tuple[str, str]]:
    """The transitions that none of the executions took."""
    taken = {pair for execution in executions for pair in execution.visits}
    return transitions(definition(machine)) - taken
