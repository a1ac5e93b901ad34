"""A pipeline's state machine with everything in memory: the engine, the use cases, and tasks with a fate."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.pipelines.engine import Engine, StateError, definition

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
SILENT = "silent"
"""A task of this fate never says anything."""


def always(*ends: str | None) -> Fate:
    """The same fate for every task."""
    return lambda _step, _index: list(ends)


@dataclass
class Bench:
    """Runs documents. `images` is how many a task makes; `before` is called before each function's work."""

    fate: Fate = field(default_factory=lambda: always(None))
    images: int = 1
    before: Callable[[JsonObject], None] = lambda _: None
    tries: dict[tuple[str, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.blobs, self.tasks = InMemoryBlobStore(), InMemoryTaskStore()
        self.store = InMemoryPipelineStore()
        files = PipelineFiles(self.blobs, self.tasks)
        starts = TaskStarts(self.tasks, self.blobs, "bucket")
        submissions = PipelineSubmissions(
            self.store, files, InMemoryRuntimeRegistry({RUNTIME.name: RUNTIME}), "bucket"
        )
        self.states = PipelineStates(submissions, PipelineTasks(PipelineRuns(self.store, files, 3600), starts))
        self.engine = Engine(definition("pipeline"), self._invoke, self._wait)

    def run(self, document: JsonObject, name: str = "p") -> tuple[str, Any]:
        """Run a document as if it were given to Step Functions."""
        return self.engine.run(document, name)

    def key(self, name: str = "p") -> PipelineKey:
        return PipelineKey(SHARED_OWNER, name)

    def statuses(self, name: str = "p") -> dict[str, str]:
        return {step: record.status.value for step, record in self.store.steps(self.key(name)).items()}

    def _invoke(self, function: str, payload: JsonObject) -> Any:
        self.before(payload)
        try:
            if function == "${StartFunction}":
                return {"id": self.states.tasks.start(ticket(payload), now()).id}
            return self.states.handle(payload, now())
        except DarkroomError as error:
            raise StateError(type(error).__name__, str(error)) from error

    def _wait(self, payload: JsonObject) -> Any:
        """Do the task, as an agent would."""
        step, index = payload["step"], payload["index"]
        tries = self.tries[step, index] = self.tries.get((step, index), 0) + 1
        ends = self.fate(step, index)
        error = ends[min(tries, len(ends)) - 1]
        if error == SILENT:
            raise StateError("States.Timeout")
        return self._finish(self._claimed(payload), error)

    def _claimed(self, payload: JsonObject) -> Task:
        key = ticket(payload).key
        task = self.tasks.get(tasks.TaskKey(key.owner, ticket(payload).task_id))
        assert task is not None
        return self.tasks.apply(task.key, tasks.claim(now(), timedelta(seconds=60)))

    def _finish(self, task: Task, error: str | None) -> Any:
        if error is None:
            links = tuple(f"{task.output_location}/{number}.png" for number in range(self.images))
            output = f"{task.output_location}/x.out"
            self.blobs.put(output, b'{"info": "{\\"seed\\": 7}"}', "application/json")
            change = tasks.succeed(now(), task.attempt, images=links, output_url=output, timings=None)
            self.tasks.apply(task.key, change)
            return {"images": links}
        self.tasks.apply(task.key, tasks.fail(now(), task.attempt, TaskError(type=error, message=error)))
        raise StateError("TaskFailed")
