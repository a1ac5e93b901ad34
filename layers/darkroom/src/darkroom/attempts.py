"""A task's attempts, as its history tells of them."""

from enum import StrEnum, auto

from darkroom.models import Model, Timestamp
from darkroom.tasks import Mark, Task, TaskError


class Outcome(StrEnum):
    """What became of an attempt."""

    RUNNING = auto()
    RELEASED = auto()  # it gave the task back
    LAPSED = auto()  # its agent went silent
    SUCCEEDED = auto()
    FAILED = auto()
    CANCELLED = auto()
    EXPIRED = auto()


class Attempt(Model):
    """One agent's try at a task. `number` is what events call `attempt`; `error` says why it was not the last."""

    number: int
    started_at: Timestamp
    ended_at: Timestamp | None = None
    outcome: Outcome = Outcome.RUNNING
    error: TaskError | None = None


_SILENT = TaskError(type="lease_lapsed", message="the agent went silent and its lease ran out", retryable=True)
_LAPSED = {"outcome": Outcome.LAPSED, "error": _SILENT}


def attempts_of(task: Task) -> tuple[Attempt, ...]:
    """The attempts of a task's latest submission, oldest first.

    Numbers count on over all submissions of an id; the history holds those of the latest.
    """
    claims = sum(entry.mark is Mark.CLAIMED for entry in task.history)
    attempts: list[Attempt] = []
    for entry in task.history:
        last = attempts[-1] if attempts else None
        if last is not None and last.outcome is Outcome.RUNNING:
            released = entry.mark is Mark.RELEASED
            outcome = {"outcome": Outcome.RELEASED, "error": entry.error} if released else _LAPSED
            attempts[-1] = last.model_copy(update={**outcome, "ended_at": entry.at})
        if entry.mark is Mark.CLAIMED:
            attempts.append(Attempt(number=task.attempt - claims + len(attempts) + 1, started_at=entry.at))
    if attempts and attempts[-1].outcome is Outcome.RUNNING and task.status.ended:
        end = {"outcome": Outcome(task.status), "ended_at": task.finished_at, "error": task.error}
        attempts[-1] = attempts[-1].model_copy(update=end)
    return tuple(attempts)
