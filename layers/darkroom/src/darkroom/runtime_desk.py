"""What callers see of the runtimes: what each does, and how it fares."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from darkroom.errors import RuntimeNotFoundError
from darkroom.listings import TaskFilter
from darkroom.models import LateModel
from darkroom.ports import RuntimeQueues, RuntimeRegistry, TaskStore
from darkroom.runtimes import QueueDepth, Runtime, TypeName
from darkroom.tasks import Task, TaskStatus, TaskType

_SAMPLE = 20
"""How many of the caller's last tasks an estimate is made from."""

_REDRIVE = 20.0
"""For how many seconds one request puts dead letters back."""

_SIDE_BY_SIDE = 8


class RuntimeHealth(LateModel):
    """How a runtime fares. Counts are SQS's, approximate and some seconds old.

    `oldest_age_seconds` is how long the task has waited that is due first. `estimated_start_seconds` is when a task
    that is submitted now may begin, judging by what waits, how many run, and how long the caller's last tasks took;
    it knows nothing of pods that have to start first, and is null where the caller's tasks tell nothing.
    """

    backlog: int
    in_flight: int
    dead_letters: int
    oldest_age_seconds: float | None
    estimated_start_seconds: float | None


class RuntimeDetails(LateModel):
    """A deployed runtime. `model` is the checkpoint that it serves or has loaded first.

    A runtime with `dynamic_model` loads the checkpoint that a task asks for.
    """

    name: str
    type: TypeName
    model: str | None
    dynamic_model: bool
    task_types: tuple[TaskType, ...]
    upscalers: tuple[str, ...]
    samplers: tuple[str, ...]
    health: RuntimeHealth


class RuntimeList(LateModel):
    """The runtimes that are deployed, by name."""

    runtimes: tuple[RuntimeDetails, ...]


class Redrive(LateModel):
    """How many dead letters were put back into the queue. There may be more: ask again until it is none."""

    moved: int


@dataclass(frozen=True)
class RuntimeDesk:
    """The use cases."""

    registry: RuntimeRegistry
    queues: RuntimeQueues
    store: TaskStore

    def list(self, owner: str, now: datetime) -> RuntimeList:
        """Every runtime."""
        return RuntimeList(runtimes=self._describe(self.registry.refresh().values(), owner, now))

    def get(self, name: str, owner: str, now: datetime) -> RuntimeDetails:
        """One runtime.

        Raises:
            RuntimeNotFoundError: there is none of that name.
        """
        return self._describe([self._find(name)], owner, now)[0]

    def redrive(self, name: str) -> Redrive:
        """Put a runtime's dead letters back into its queue.

        Raises:
            RuntimeNotFoundError: there is none of that name.
        """
        return Redrive(moved=self.queues.redrive(self._find(name), _REDRIVE))

    def position(self, task: Task) -> int | None:
        """About how many tasks are handed out before one that waits, and that one."""
        runtime = self.registry.all().get(task.runtime)
        if task.status is not TaskStatus.QUEUED or runtime is None:
            return None
        return max(1, self.queues.depth(runtime).backlog)

    def _find(self, name: str) -> Runtime:
        runtime = self.registry.all().get(name) or self.registry.refresh().get(name)
        if runtime is None:
            raise RuntimeNotFoundError(f"There is no runtime {name!r}.")
        return runtime

    def _describe(self, runtimes: Iterable[Runtime], owner: str, now: datetime) -> tuple[RuntimeDetails, ...]:
        durations = self._durations(owner)
        named = sorted(runtimes, key=lambda runtime: runtime.name)
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
            depths = threads.map(self.queues.depth, named)
            oldest = threads.map(lambda runtime: self.store.oldest(runtime.name), named)
            return tuple(
                _details(runtime, _health(depth, task, durations.get(runtime.name), now))
                for runtime, depth, task in zip(named, depths, oldest, strict=True)
            )

    def _durations(self, owner: str) -> dict[str, float]:
        """How long the owner's last tasks ran, on average, by runtime, in seconds."""
        which = TaskFilter(status=frozenset({TaskStatus.SUCCEEDED}))
        by_runtime: dict[str, list[float]] = {}
        for task in self.store.page(owner, which, _SAMPLE).tasks:
            if task.started_at is not None and task.finished_at is not None:
                taken = (task.finished_at - task.started_at).total_seconds()
                by_runtime.setdefault(task.runtime, []).append(taken)
        return {name: sum(taken) / len(taken) for name, taken in by_runtime.items()}


def _health(depth: QueueDepth, oldest: Task | None, duration: float | None, now: datetime) -> RuntimeHealth:
    turns = depth.backlog / max(depth.in_flight, 1)
    return RuntimeHealth(
        **depth.model_dump(),
        oldest_age_seconds=max(0.0, (now - oldest.created_at).total_seconds()) if oldest is not None else None,
        estimated_start_seconds=turns * duration if duration is not None else None,
    )


def _details(runtime: Runtime, health: RuntimeHealth) -> RuntimeDetails:
    return RuntimeDetails(
        name=runtime.name,
        type=runtime.type,
        model=runtime.model or None,
        dynamic_model=runtime.dynamic_model,
        task_types=tuple(sorted(runtime.able)),
        upscalers=runtime.upscalers,
        samplers=runtime.samplers,
        health=health,
    )
