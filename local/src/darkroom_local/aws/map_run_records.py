"""What is told of map runs, for the emulator: their items' executions, and the files of their results.

The run itself is `map_runs`', which leaves `outcomes` and `histories` with moto's record of it.
"""

# moto keeps an execution's parts private, and this module mends just those:
# ruff: noqa: SLF001

import json
from collections.abc import Callable, Iterator
from typing import Any

from moto.core.responses import ActionResult
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.map_run_record import (
    MapRunRecord,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.resource_eval import (
    resource_eval_s3,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.result_writer_decl import (
    ResultWriter,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.responses import StepFunctionResponse

Moto = Any
"""What moto hands over and gets back."""

_WRITTEN = ("SUCCEEDED", "FAILED")


def execution_arn(record: MapRunRecord, index: int) -> str:
    """What an item's execution is called: after its map run, and by its number."""
    return f"{record.map_run_arn.replace(':mapRun:', ':execution:')}-{index}"


def _entry(outcome: dict[str, Any], number: int, record: MapRunRecord) -> dict[str, Any]:
    """An item's execution, as AWS writes it into a result file."""
    succeeded = outcome["status"] == "SUCCEEDED"
    entry = {
        "ExecutionArn": execution_arn(record, number),
        "Input": json.dumps(outcome["input"]),
        "InputDetails": {"Included": True},
        "Name": execution_arn(record, number).rpartition(":")[2],
        "StartDate": outcome["started"].isoformat(timespec="milliseconds"),
        "StateMachineArn": record.map_state_machine_arn,
        "Status": outcome["status"],
        "StopDate": outcome["stopped"].isoformat(timespec="milliseconds"),
    }
    if succeeded:
        return entry | {"Output": json.dumps(outcome["output"]), "OutputDetails": {"Included": True}}
    return entry | {"Error": outcome["error"].get("error"), "Cause": outcome["error"].get("cause")}


def _put_results(env: Environment, resource_runtime_part: Moto, state_credentials: Moto) -> None:
    parameters = env.stack.pop()
    env.stack.pop()
    record = env.map_run_record_pool_manager.get_all()[-1]
    client = resource_eval_s3.ResourceEvalS3._get_s3_client(resource_runtime_part, state_credentials)
    bucket, prefix = parameters["Bucket"], parameters.get("Prefix", "").strip("/")
    folder = "/".join(filter(None, (prefix, record.map_run_arn.rpartition(":")[2])))
    files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    outcomes = {number: it for number, it in enumerate(getattr(record, "outcomes", [])) if it is not None}
    for status in _WRITTEN:
        entries = [_entry(it, number, record) for number, it in outcomes.items() if it["status"] == status]
        if entries:
            key, body = f"{folder}/{status}_0.json", json.dumps(entries).encode()
            client.put_object(Bucket=bucket, Key=key, Body=body)
            files[status].append({"Key": key, "Size": len(body)})
    manifest = {"DestinationBucket": bucket, "MapRunArn": record.map_run_arn, "ResultFiles": files}
    key = f"{folder}/manifest.json"
    client.put_object(Bucket=bucket, Key=key, Body=json.dumps(manifest).encode())
    for counter in (record.item_counter, record.execution_counter):
        counter.results_written.count(sum(it["status"] in _WRITTEN for it in outcomes.values()))
    details = {"Bucket": bucket, "Key": key}
    env.stack.append({"MapRunArn": record.map_run_arn, "ResultWriterDetails": details})


def _write_results(writer: ResultWriter, env: Environment) -> None:
    """The writer's parameters are filled from the state's input; moto would fill them from the results."""
    depth = len(env.stack)
    env.stack.append(env.states.get_input())
    writer.parargs.eval(env=env)
    parameters = env.stack.pop()
    del env.stack[depth:]
    env.stack.append(parameters)
    writer.resource_eval.eval_resource(env=env)


def _list_map_runs(list_: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """An execution that is just being started has none; moto fails on it."""

    def list_map_runs(backend: StepFunctionsParserBackend, execution_arn: str) -> dict[str, Any]:
        execution: Any = backend.describe_execution(execution_arn=execution_arn)
        worker = execution.exec_worker
        return {"mapRuns": []} if worker is None or worker.env is None else list_(backend, execution_arn)

    return list_map_runs


def _histories(backend: StepFunctionsParserBackend) -> Iterator[tuple[MapRunRecord, str, EventManager]]:
    """Of all map runs the executions of items: their ARNs and what happened in them."""
    executions: list[Any] = backend._get_executions()
    for execution in executions:
        for record in execution.exec_worker.env.map_run_record_pool_manager.get_all():
            for arn, history in list(getattr(record, "histories", {}).items()):
                yield record, arn, history


def _get_execution_history(get: Callable[..., Moto]) -> Callable[..., Moto]:
    def get_execution_history(backend: StepFunctionsParserBackend, execution_arn: str) -> Moto:
        found = next((it for _, arn, it in _histories(backend) if arn == execution_arn), None)
        return get(backend, execution_arn) if found is None else {"events": found.get_event_history()}

    return get_execution_history


def _list_executions(list_: Callable[[StepFunctionResponse], ActionResult]) -> Callable[..., ActionResult]:
    def list_executions(response: StepFunctionResponse) -> ActionResult:
        asked = response._get_param("mapRunArn")
        if not asked:
            return list_(response)
        backend: Any = response.stepfunction_backend
        found = [(record, arn) for record, arn, _ in _histories(backend) if record.map_run_arn == asked]
        outcomes = {
            execution_arn(record, number): it
            for record, _ in found[:1]
            for number, it in enumerate(getattr(record, "outcomes", []))
            if it is not None
        }
        ended = {arn: {"status": it["status"], "stopDate": it["stopped"]} for arn, it in outcomes.items()}
        return ActionResult(
            {
                "executions": [
                    {
                        "executionArn": arn,
                        "name": arn.rpartition(":")[2],
                        "mapRunArn": asked,
                        "startDate": record.start_date,
                        "stateMachineArn": record.map_state_machine_arn,
                        **ended.get(arn, {"status": "RUNNING"}),
                    }
                    for record, arn in found
                ]
            }
        )

    return list_executions


def install() -> None:
    """Mends moto's engine, for this process."""
    backend = StepFunctionsParserBackend
    patches: tuple[tuple[Any, str, Any], ...] = (
        (ResultWriter, "_eval_body", _write_results),
        (resource_eval_s3.ResourceEvalS3, "_handle_put_object", staticmethod(_put_results)),
        (backend, "list_map_runs", _list_map_runs(backend.list_map_runs)),
        (backend, "get_execution_history", _get_execution_history(backend.get_execution_history)),
        (StepFunctionResponse, "list_executions", _list_executions(StepFunctionResponse.list_executions)),
    )
    for owner, name, value in patches:
        setattr(owner, name, value)
