"""The runtime's queue, and what became of the tasks in it."""

from collections import deque
from dataclasses import dataclass

from darkroom_cli.planning.keda import QueueState


@dataclass(eq=False)
class PlannedTask:
    """One task, with the seconds at which things happened to it."""

    arrived: float
    work: float
    started: float | None = None
    finished: float | None = None

    @property
    def waited(self) -> float:
        """Seconds from the request until work on it began; endless where it never did."""
        return float("inf") if self.started is None else self.started - self.arrived


class PlannedQueue:
    """First in, first out; what is taken is in flight until it is done."""

    def __init__(self) -> None:
        self.done = 0
        self._waiting: deque[PlannedTask] = deque()
        self._in_flight = 0

    @property
    def state(self) -> QueueState:
        """What SQS would say, were it exact."""
        return QueueState(len(self._waiting), self._in_flight)

    def put(self, task: PlannedTask) -> None:
        """A message arrives."""
        self._waiting.append(task)

    def take(self, now: float) -> PlannedTask | None:
        """Take the first, if there is one."""
        if not self._waiting:
            return None
        task = self._waiting.popleft()
        task.started = now
        self._in_flight += 1
        return task

    def finish(self, task: PlannedTask, now: float, upload: float) -> None:
        """The work on a task is done, and its image will be there after the upload."""
        task.finished = now + upload
        self._in_flight -= 1
        self.done += 1
