"""A pipeline's state machine with the use cases and their world in memory, and tasks with a fate."""

from collections.abc import Callable
from datetime import timedelta
from threading import Lock
from typing import Any, Protocol
from uuid import uuid4

from tests.pipelines.machines import Execution, Function, SilentTaskError, StateError, Wait

from darkroom import tasks
from darkroom.errors import DarkroomError
from darkroom.models import JsonObject, now
from darkroom.pipeline_files import PipelineFiles
from darkroom.pipeline_runs import PipelineRuns
from darkroom.pipeline_states import PipelineStates, ticket
from darkroom.pipeline_submissions import PipelineSubmissions
from darkroom.pipeline_tasks import PipelineTasks
from darkroom.pipeline_testing import InMemoryPipelineStore
from darkroom.pipelines import SHARED_OWNER, PipelineKey
from darkroom.runtimes import Runtime, RuntimeType
from darkroom.task_starts import TaskStarts
from darkroom.tasks import Task, TaskError
from darkroom.testing import InMemoryBlobStore, InMemoryRuntimeRegistry, InMemoryTaskStore

RUNTIME = Runtime(name="sdruntime", type=RuntimeType.SDWEBUI, dynamic_model=True)
Fate = Callable[[str, int], list[str | None]]
Hook = Callable[[JsonObject], None]
SILENT = "silent"
"""A task of this fate never says anything."""


def always(*ends: str | None) -> Fate:
    """The same fate for every task."""
    return lambda _step, _index: list(ends)


_SUCCEED = always(None)


class Engine(Protocol):
    """Runs our state machines: `Machines`, or `InMemoryMachines`."""

    def run(self, machine: str, input_: Any, name: str, function: Function, wait: Wait) -> Execution:
        """Run an execution to its end."""


class World:
    """The use cases of pipelines with everything in memory."""

    def __init__(self) -> None:
        self.blobs, self.tasks = InMemoryBlobStore(), InMemoryTaskStore()
        self.store = InMemoryPipelineStore()
        files = PipelineFiles(self.blobs, self.tasks)
        starts = TaskStarts(self.tasks, self.blobs, "bucket")
        registry = InMemoryRuntimeRegistry({RUNTIME.name: RUNTIME})
        submissions = PipelineSubmissions(self.store, files, registry, "bucket")
        self.states = PipelineStates(submissions, PipelineTasks(PipelineRuns(self.store, files, 3600), starts))


class Bench(World):
    """Runs documents on `machines`. `images` is how many a task makes.

    `before` and `after` are called around each function's work, and `meanwhile` while a task is under way, with the
    payload. `peak` is how many tasks were under way at once.
    """

    def __init__(self, machines: Engine, fate: Fate = _SUCCEED, images: int = 1) -> None:
        super().__init__()
        self.before: Hook = lambda _: None
        self.after: Hook = lambda _: None
        self.meanwhile: Hook = lambda _: None
        self.under_way = self.peak = 0
        self.started: list[tasks.TaskKey] = []
        self._lock = Lock()
        self.tries: dict[tuple[str, int], int] = {}
        self.name = f"p{uuid4().hex[:10]}"
        self.fate = fate
        self._machines, self._images = machines, images

    def run(self, document: JsonObject) -> tuple[str, Any]:
        """Run a document as if it were given to Step Functions: `("SUCCEEDED", output)` or `(error, cause)`."""
        self.execution = self._machines.run("pipeline", document, self.name, self._invoke, self._wait)
        return self.execution.end

    def run_again(self) -> tuple[str, Any]:
        """Run the pipeline from its failed step on, as a retry does."""
        run = self.store.restart(self.key, now(), now() + timedelta(hours=1)).run
        input_ = {"pipeline": {"owner": self.key.owner, "id": self.name, "run": run}}
        return self._machines.run("pipeline", input_, f"{self.name}-{run}", self._invoke, self._wait).end

    @property
    def key(self) -> PipelineKey:
        """What names the pipeline."""
        return PipelineKey(SHARED_OWNER, self.name)

    def statuses(self) -> dict[str, str]:
        """How the steps that began stand."""
        return {step: record.status.value for step, record in self.store.steps(self.key).items()}

    def worked(self, step: str) -> list[Task]:
        """The tasks that worked last at a step's items."""
        found = [it.key(self.key.owner) for it in self.store.assignments(self.key, step)]
        return [task for key in found if key is not None and (task := self.tasks.get(key)) is not None]

    def unfinished(self) -> list[str]:
        """The tasks that have not ended, of all that were ever started."""
        found = [task for key in self.started if (task := self.tasks.get(key)) is not None]
        return [task.id for task in found if not task.status.ended]

    def _invoke(self, function: str, payload: JsonObject) -> Any:
        self.before(payload)
        try:
            answer = self._start(payload) if function == "StartFunction" else self.states.handle(payload, now())
        except DarkroomError as error:
            raise StateError(type(error).__name__, str(error)) from error
        self.after(payload)
        return answer

    def _start(self, payload: JsonObject) -> JsonObject:
        task = self.states.tasks.start(ticket(payload), now())
        with self._lock:
            self.started.append(task.key)
            self.under_way += 1
            self.peak = max(self.peak, self.under_way)
        return {"id": task.id}

    def _wait(self, payload: JsonObject) -> Any:
        """Do the task, as an agent would."""
        self.meanwhile(payload)
        with self._lock:
            self.under_way -= 1
        step, index = payload["step"], payload["index"]
        tries = self.tries[step, index] = self.tries.get((step, index), 0) + 1
        ends = self.fate(step, index)
        error = ends[min(tries, len(ends)) - 1]
        if error == SILENT:
            raise SilentTaskError
        return self._finish(self._claimed(payload), error)

    def _claimed(self, payload: JsonObject) -> Task:
        key = ticket(payload).key
        task = self.tasks.get(tasks.TaskKey(key.owner, ticket(payload).task_id))
        assert task is not None
        return self.tasks.apply(task.key, tasks.claim(now(), timedelta(seconds=60)))

    def _finish(self, task: Task, error: str | None) -> Any:
        if error is None:
            links = tuple(f"{task.output_location}/{number}.png" for number in range(self._images))
            output = f"{task.output_location}/x.out"
            self.blobs.put(output, b'{"info": "{\\"seed\\": 7}"}', "application/json")
            change = tasks.succeed(now(), task.attempt, images=links, output_url=output, timings=None)
            self.tasks.apply(task.key, change)
            return {"images": links}
        self.tasks.apply(task.key, tasks.fail(now(), task.attempt, TaskError(type=error, message=error)))
        raise StateError("TaskFailed")
