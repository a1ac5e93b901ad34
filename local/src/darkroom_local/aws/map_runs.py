"""Distributed maps for the emulator: what moto 5.2.5's engine lacks of a map run.

- Failed items count, and end the run once they are more than it tolerates (`ToleratedFailureCount`, `…Percentage`;
  without them, none is). moto tolerates any number.
- What a run has done so far is told as AWS tells it (`DescribeMapRun`): items that wait and items that have failed.
- `ResultWriter` writes what it is for: `SUCCEEDED_0.json` and `FAILED_0.json` beside the manifest. Its parameters
  are filled from the state's input, as AWS does it, and not from the results.
- No more threads than items, and any number of items. moto calls itself once more for each item.
- Once its execution is stopped, a run begins no further item.
- The executions of its items are listed (`ListExecutions` by `mapRunArn`), and the last thousand have histories.
"""

# moto keeps an execution's parts private, and this module mends just those:
# ruff: noqa: SLF001

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from threading import Condition, Thread
from typing import Any

from moto.core.responses import ActionResult
from moto.stepfunctions.parser import utils
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (
    DistributedIterationComponent,
    DistributedIterationComponentEvalInput,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.map_run_record import (
    MapRunRecord,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.job import Job
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.resource_eval import (
    resource_eval_s3,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.result_writer_decl import (
    ResultWriter,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext, EventManager
from moto.stepfunctions.parser.asl.eval.program_state import ProgramError, ProgramStopped
from moto.stepfunctions.parser.asl.eval.states import ItemData, MapData
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.responses import StepFunctionResponse

Moto = Any
"""What moto hands over and gets back."""

_LOOK_EVERY = 0.2
_WRITTEN = ("SUCCEEDED", "FAILED")
_HISTORIES = 1000


class MapRun:
    """One run: items, worked at side by side, each as an execution of the map's states would."""

    def __init__(
        self, env: Environment, worker: Moto, program: Moto, items: list[Moto], record: MapRunRecord
    ) -> None:
        """`worker` is moto's; of it only the item selector is used."""
        self._env = env
        self._worker = worker
        self._program = program
        self._items = items
        self._record = record
        self._next = 0
        self._live: set[Environment] = set()
        self._working = 0
        self._change = Condition()
        self.outcomes: list[dict[str, Any] | None] = [None] * len(items)
        self.failed = 0
        record.histories = self._histories = OrderedDict[str, EventManager]()  # type: ignore[attr-defined]

    @property
    def tolerated(self) -> bool:
        """Whether no more items have failed than may. A limit that is not set is 0."""
        count, percentage = self._record.tolerated_failure_count, self._record.tolerated_failure_percentage
        if not count and not percentage:
            return self.failed == 0
        return not (count and self.failed > count) and not (
            percentage and self.failed * 100 > percentage * len(self._items)
        )

    def run(self) -> list[Moto]:
        """Work at all items and return their outputs, None for those that failed.

        Raises:
            FailureEventException: more have failed than may.
        """
        for counter in (self._record.item_counter, self._record.execution_counter):
            counter.total.count(len(self._items))
            counter.pending.count(len(self._items))
        width = self._record.max_concurrency or len(self._items)
        for number in range(min(width, len(self._items))):
            self._working += 1
            Thread(target=self._work, name=f"map-{number}", daemon=True).start()
        with self._change:
            while self._working and self._goes_on():
                self._change.wait(_LOOK_EVERY)
        self._record.outcomes = self.outcomes  # type: ignore[attr-defined]
        utils.TMP_THREADS[:] = [thread for thread in utils.TMP_THREADS if thread.is_alive()]
        if not self.tolerated:
            self._abort()
            raise self._failure()
        return [None if it is None else it["output"] for it in self.outcomes]

    def _goes_on(self) -> bool:
        return self._env.is_running() and self.tolerated

    def _work(self) -> None:
        try:
            while (index := self._take()) is not None:
                self._do(index)
        finally:
            with self._change:
                self._working -= 1
                self._change.notify_all()

    def _take(self) -> int | None:
        with self._change:
            if self._next == len(self._items) or not self._goes_on():
                return None
            self._next += 1
            return self._next - 1

    def _do(self, index: int) -> None:
        self._count("pending", -1)
        self._count("running", 1)
        frame = self._env.open_inner_frame(EventHistoryContext.of_program_start())
        frame.event_manager = EventManager()
        with self._change:
            self._live.add(frame)
            self._histories[_execution_arn(self._record, index)] = frame.event_manager
            while len(self._histories) > _HISTORIES:
                self._histories.popitem(last=False)
        started = datetime.now(UTC)
        try:
            state, output = self._run_item(frame, index)
        finally:
            with self._change:
                self._live.discard(frame)
            self._env.delete_frame(frame)
            self._count("running", -1)
        error = state.error or {} if isinstance(state, ProgramError) else {}
        status = "FAILED" if isinstance(state, ProgramError) else "SUCCEEDED"
        if isinstance(state, ProgramStopped):
            status = "ABORTED"
        self.outcomes[index] = {
            "status": status,
            "input": self._items[index],
            "output": output if status == "SUCCEEDED" else None,
            "error": error,
            "started": started,
            "stopped": datetime.now(UTC),
        }
        self._count(status.lower(), 1)
        with self._change:
            self.failed += status == "FAILED"
            self._change.notify_all()

    def _run_item(self, frame: Environment, index: int) -> tuple[Moto, Moto]:
        item = self._items[index]
        frame.states.context_object.context_object_data["Map"] = MapData(Item=ItemData(Index=index, Value=item))
        frame.states.reset(item)
        frame.stack.append(frame.states.get_input())
        try:
            self._worker._eval_input(env_frame=frame)
            Job(job_index=index, job_program=self._program, job_input=item).job_program.eval(frame)
        except FailureEventException as failure:
            return ProgramError(error=failure.get_execution_failed_event_details()), None
        return frame.program_state(), frame.states.get_input()

    def _count(self, what: str, by: int) -> None:
        for counter in (self._record.item_counter, self._record.execution_counter):
            getattr(counter, what).count(by)

    def _abort(self) -> None:
        """Stop the items that are at work. Whatever they wait for ends without them."""
        with self._change:
            for frame in self._live:
                frame.set_stop(stop_date=datetime.now(UTC), cause=None, error=None)

    def _failure(self) -> FailureEventException:
        name = StatesErrorName(typ=StatesErrorNameType.StatesExceedToleratedFailureThreshold)
        cause = "The specified tolerated failure threshold was exceeded"
        details: Any = {"executionFailedEventDetails": {"error": name.error_name, "cause": cause}}
        return FailureEventException(
            FailureEvent(
                env=self._env,
                error_name=name,
                event_type=HistoryEventType.ExecutionFailed,
                event_details=details,
            )
        )


def _map_run(
    component: DistributedIterationComponent, env: Environment, eval_input: DistributedIterationComponentEvalInput
) -> None:
    items: list[Moto] = env.stack.pop()
    pool: Any = None  # items are handed out here
    worker = component._create_worker(env=env, eval_input=eval_input, job_pool=pool)
    run = MapRun(env, worker, component._get_iteration_program(), items, eval_input.map_run_record)
    env.stack.append(run.run())


def _execution_arn(record: MapRunRecord, index: int) -> str:
    """What an item's execution is called: after its map run, and by its number."""
    return f"{record.map_run_arn.replace(':mapRun:', ':execution:')}-{index}"


def _entry(outcome: dict[str, Any], number: int, record: MapRunRecord) -> dict[str, Any]:
    """An item's execution, as AWS writes it into a result file."""
    succeeded = outcome["status"] == "SUCCEEDED"
    entry = {
        "ExecutionArn": _execution_arn(record, number),
        "Input": json.dumps(outcome["input"]),
        "InputDetails": {"Included": True},
        "Name": _execution_arn(record, number).rpartition(":")[2],
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
            _execution_arn(record, number): it
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
    patches: tuple[tuple[Any, str, Any], ...] = (
        (DistributedIterationComponent, "_map_run", _map_run),
        (ResultWriter, "_eval_body", _write_results),
        (resource_eval_s3.ResourceEvalS3, "_handle_put_object", staticmethod(_put_results)),
        (StepFunctionsParserBackend, "list_map_runs", _list_map_runs(StepFunctionsParserBackend.list_map_runs)),
        (
            StepFunctionsParserBackend,
            "get_execution_history",
            _get_execution_history(StepFunctionsParserBackend.get_execution_history),
        ),
        (StepFunctionResponse, "list_executions", _list_executions(StepFunctionResponse.list_executions)),
    )
    for owner, name, value in patches:
        setattr(owner, name, value)
