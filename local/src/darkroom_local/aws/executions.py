"""Step Functions for the emulator: what moto 5.2.5's engine lacks of an execution's life.

- A stopped execution ends at once. moto waits until whatever the execution waits for has ended or timed out.
- Executions tell EventBridge's default bus of their start and end ("Step Functions Execution Status Change").
- A task token is looked for in executions that have begun only; moto fails on one that is just being started.
- A token that is answered before the function that got it has answered counts at once. moto would hear of it with
  the next heartbeat.
- A definition is parsed once, and not at each execution's start.
- A state that fails says so in its execution's history. moto also logs it, with the whole definition of each state
  that encloses it: tens of kilobytes for each failure.

An event has the fields that AWS documents, but for `startDate` of map runs, which are not executions here:
https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html.
"""

# moto keeps an execution's parts private, and this module mends just those:
# ruff: noqa: SLF001

import copy
import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock, Thread
from typing import Any
from uuid import uuid4

from moto.events.models import events_backends
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackEndpoint
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
from moto.stepfunctions.parser.models import StepFunctionsParserBackend

Moto = Any
"""What moto hands over and gets back."""

_LOG = logging.getLogger(__name__)
_START_SECONDS = 10.0  # how long an execution may take from its start to its first state
_MAX_INPUT = 262_144  # bytes of input that an event repeats
_lock = Lock()


def _milliseconds(time_: datetime | None) -> int | None:
    return None if time_ is None else int(time_.timestamp() * 1000)


def _event(execution: Execution) -> dict[str, Any]:
    details = {"included": len(execution.execution_input or "") < _MAX_INPUT}
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": execution.account_id,
        "time": time.time(),
        "region": execution.region_name,
        "resources": [execution.exec_arn],
        "ingestion-time": time.time(),
        "detail": {
            "executionArn": execution.exec_arn,
            "stateMachineArn": execution.state_machine_arn,
            "name": execution.name,
            "status": execution.status,
            "startDate": _milliseconds(execution.start_date),
            "stopDate": _milliseconds(execution.stop_date),
            "input": execution.execution_input if details["included"] else None,
            "inputDetails": details,
            "output": json.dumps(execution.output) if execution.output is not None else None,
            "outputDetails": {"included": True} if execution.output is not None else None,
            "error": execution.error,
            "cause": execution.cause,
        },
    }


def _tell(execution: Execution) -> None:
    """Send an execution's state to the rules of the default bus. No rule's fault is the execution's."""
    bus = events_backends[execution.account_id][execution.region_name].describe_event_bus("default")
    event = _event(execution)
    for rule in list(bus.rules.values()):
        send: Any = rule.send_to_targets
        try:
            send(event)
        except Exception:  # noqa: BLE001  whatever a target does, the execution goes on
            _LOG.exception("event_not_sent", extra={"rule": rule.name, "execution": execution.exec_arn})


def _start(start: Callable[[Execution], None]) -> Callable[[Execution], None]:
    def start_and_tell(execution: Execution) -> None:
        start(execution)
        Thread(target=_tell, args=(execution,), name=f"event-{execution.name}", daemon=True).start()

    return start_and_tell


def _environment(execution: Moto) -> Environment:
    """What an execution's states share; it comes to be a moment after the start."""
    until = time.monotonic() + _START_SECONDS
    while execution.exec_worker.env is None and time.monotonic() < until:
        time.sleep(0.01)
    environment: Environment = execution.exec_worker.env
    return environment


def _stop(stop: Callable[..., None]) -> Callable[..., None]:
    def stop_at_once(execution: Execution, stop_date: datetime, error: str | None, cause: str | None) -> None:
        with _lock:
            if execution.exec_status != ExecutionStatus.RUNNING:
                return
            execution.exec_status = ExecutionStatus.ABORTED
        environment = _environment(execution)
        stop(execution, stop_date=stop_date, error=error, cause=cause)
        execution.stop_date = datetime.now(UTC)
        execution.error, execution.cause = error or None, cause or None
        for endpoint in list(environment.callback_pool_manager._pool.values()):
            endpoint.interrupt_all()
        _tell(execution)

    return stop_at_once


def _terminated(terminated: Callable[..., None]) -> Callable[..., None]:
    def terminated_and_tell(communication: BaseExecutionWorkerCommunication) -> None:
        with _lock:
            if communication.execution.exec_status != ExecutionStatus.RUNNING:  # it was stopped, and that was told
                return
            terminated(communication)
        _tell(communication.execution)

    return terminated_and_tell


def _set_error(set_error: Callable[..., None]) -> Callable[..., None]:
    """What still goes wrong in a stopped execution does not make it a failed one."""

    def set_error_unless_stopped(environment: Environment, error: Moto) -> None:
        if not isinstance(environment._program_state, ProgramStopped):
            set_error(environment, error)

    return set_error_unless_stopped


def _begun(find: Callable[..., list[Execution]]) -> Callable[..., list[Execution]]:
    def find_begun(backend: StepFunctionsParserBackend, execution_status: Moto = None) -> list[Execution]:
        found = find(backend, execution_status)
        return [it for it in found if it.exec_worker is not None and it.exec_worker.env is not None]

    return find_begun


def _setup_heartbeat(setup: Callable[..., Moto]) -> Callable[..., Moto]:
    def setup_and_tell(endpoint: CallbackEndpoint, heartbeat_seconds: int) -> Moto:
        found = setup(endpoint, heartbeat_seconds)
        if endpoint.get_outcome() is not None:
            found.notify()
        return found

    return setup_and_tell


def _parse(parse: Callable[[str], Moto]) -> Callable[[str], Moto]:
    """A program is copied, since moto does not say that it holds no state; its syntax tree is only read."""
    remembered = lru_cache(maxsize=64)(parse)

    def parse_once(definition: str) -> Moto:
        program, tree = remembered(definition)
        return copy.deepcopy(program), tree

    return parse_once


def install() -> None:
    """Mends moto's engine, for this process."""
    parse = staticmethod(_parse(AmazonStateLanguageParser.parse))
    patches: tuple[tuple[Any, str, Any], ...] = (
        (Execution, "start", _start(Execution.start)),
        (Execution, "stop", _stop(Execution.stop)),
        (
            BaseExecutionWorkerCommunication,
            "terminated",
            _terminated(BaseExecutionWorkerCommunication.terminated),
        ),
        (Environment, "set_error", _set_error(Environment.set_error)),
        (StepFunctionsParserBackend, "_get_executions", _begun(StepFunctionsParserBackend._get_executions)),
        (
            CallbackEndpoint,
            "setup_heartbeat_endpoint",
            _setup_heartbeat(CallbackEndpoint.setup_heartbeat_endpoint),
        ),
        (AmazonStateLanguageParser, "parse", parse),
        (EvalComponent, "_log_failure_event_exception", lambda *_args, **_failure: None),
    )
    for owner, name, value in patches:
        setattr(owner, name, value)
