"""Executions that a state machine starts and waits for (`states:startExecution.sync:2`), for the emulator.

- The state's parameters and the execution's description are named as in definitions (`StateMachineArn`), not as in
  boto3, where moto 5.2.5 looks for them in vain.
- Where the state machine is stopped, or waits no longer, the execution that it waits for is stopped, too.
"""

# moto keeps a state's parts private, and this module mends just those:
# ruff: noqa: SLF001

from collections.abc import Callable
from datetime import datetime
from typing import Any

from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_sfn
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import ResourceCondition
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
    StateTaskServiceSfn,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment

Moto = Any
"""What moto hands over and gets back."""

_SYNC = frozenset({ResourceCondition.Sync, ResourceCondition.Sync2})
_TIMES = frozenset({"StartDate", "StopDate", "RedriveDate"})


def _to_boto(name: str) -> str:
    return name[:1].lower() + name[1:]


def _from_boto(response: dict[str, Any]) -> dict[str, Any]:
    named = {name[:1].upper() + name[1:]: value for name, value in response.items()}
    return {
        name: value.isoformat(timespec="milliseconds") if name in _TIMES and isinstance(value, datetime) else value
        for name, value in named.items()
    }


def _normalise_parameters(normalise: Callable[..., None]) -> Callable[..., None]:
    def normalise_parameters(task: StateTaskServiceSfn, parameters: dict[str, Any], *rest: Moto) -> None:
        normalise(task, parameters, *rest)
        named = {_to_boto(name): value for name, value in parameters.items()}
        parameters.clear()
        parameters.update(named)

    return normalise_parameters


def _normalise_response(_: StateTaskServiceSfn, response: Any, *_rest: Moto, **_more: Moto) -> None:  # noqa: ANN401  what AWS answers
    if isinstance(response, dict):
        named = _from_boto(response)
        response.clear()
        response.update(named)


def _eval_sync(evaluate: Callable[..., Moto]) -> Callable[..., Moto]:
    """The execution is in what the state has been answered: `ExecutionArn`."""

    def evaluate_and_stop(task: StateTaskServiceSfn, env: Environment, **asked: Moto) -> Moto:
        outcome = evaluate(task, env=env, **asked)
        if outcome is None and task.resource.condition in _SYNC:
            stop: Any = getattr(asked["sync_resolver"], "stop", None)
            if stop is not None:
                stop()
        return outcome

    return evaluate_and_stop


def _resolver(build: Callable[..., Callable[[], Moto] | None]) -> Callable[..., Callable[[], Moto] | None]:
    """A resolver that knows how to stop what it asks after."""

    def build_resolver(
        task: StateTaskServiceSfn, env: Environment, resource_runtime_part: Moto, *rest: Moto, **more: Moto
    ) -> Callable[[], Moto] | None:
        arn = env.stack[-1]["ExecutionArn"]
        credentials = more.get("state_credentials") or rest[-1]
        client_for: Any = vars(state_task_service_sfn)["boto_client_for"]  # `targets` has put its own there
        client = client_for(
            service="stepfunctions", region=resource_runtime_part.region, state_credentials=credentials
        )
        resolver = build(task, env, resource_runtime_part, *rest, **more)
        if resolver is not None:
            resolver.stop = lambda: client.stop_execution(executionArn=arn)  # type: ignore[attr-defined]
        return resolver

    return build_resolver


def install() -> None:
    """Mends moto's engine, for this process."""
    service: Any = StateTaskServiceSfn
    patches: tuple[tuple[str, Any], ...] = (
        ("_normalise_parameters", _normalise_parameters(service._normalise_parameters)),
        ("_normalise_response", _normalise_response),
        ("_build_sync_resolver", _resolver(service._build_sync_resolver)),
        ("_build_sync2_resolver", _resolver(service._build_sync2_resolver)),
        ("_eval_sync", _eval_sync(service._eval_sync)),
    )
    for name, value in patches:
        setattr(service, name, value)
