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

from collections import OrderedDict
from datetime import UTC, datetime
from threading import Condition, Thread
from typing import Any

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
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext, EventManager
from moto.stepfunctions.parser.asl.eval.program_state import ProgramError, ProgramStopped
from moto.stepfunctions.parser.asl.eval.states import ItemData, MapData

from darkroom_local.aws import map_run_records
from darkroom_local.aws.map_run_records import execution_arn

Moto = Any
"""What moto hands over and gets back."""

_LOOK_EVERY = 0.2
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
        self._histories = OrderedDict[str, EventManager]()
        vars(record).update(outcomes=self.outcomes, histories=self._histories)

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
            self._histories[execution_arn(self._record, index)] = frame.event_manager
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


def install() -> None:
    """Mends moto's engine, for this process."""
    run: Any = _map_run
    DistributedIterationComponent._map_run = run  # type: ignore[method-assign]
    map_run_records.install()
