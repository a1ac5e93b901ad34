"""A task and its life.

`RULES` is the state machine, whole: which change may happen in which states, and under which guards. A task is
changed in no other way. Stores apply a `Change` atomically: `check` says what they must refuse.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, auto
from typing import Any, NamedTuple

from pydantic import Field

from darkroom.models import JsonObject, Model, Timestamp


class TaskType(StrEnum):
    """What a task asks for; the names are the user guide's."""

    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_TO_IMAGE = "image-to-image"
    EXTRA_SINGLE_IMAGE = "extra-single-image"
    EXTRA_BATCH_IMAGES = "extra-batch-images"


class TaskStatus(StrEnum):
    """Where a task is in its life."""

    QUEUED = auto()
    RUNNING = auto()
    SUCCEEDED = auto()
    FAILED = auto()
    CANCELLED = auto()
    EXPIRED = auto()

    @property
    def ended(self) -> bool:
        """True where nothing will change any more."""
        return self not in OPEN


OPEN = frozenset({TaskStatus.QUEUED, TaskStatus.RUNNING})


class TaskKey(NamedTuple):
    """What names a task: ids are an owner's own, so two owners may use the same."""

    owner: str
    id: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.id}"


class TaskError(Model):
    """Why a task failed, or its last attempt did.

    `retryable` tells a caller whether submitting the same task again may help.
    """

    type: str
    message: str
    retryable: bool = False


class Timings(Model):
    """How long the parts of the attempt that ended a task took, in seconds."""

    download: float = 0
    run: float = 0
    upload: float = 0


class Task(Model):
    """One piece of work.

    `attempt` counts claims and fences them: what an older attempt says is refused. `dispatch` counts how often the
    task was put on a queue. `created_at` tells submissions of one id apart. `fingerprint` is a digest of the body
    that asked for it. `content` is absent where `content_ref` says where it lies.
    """

    owner: str
    id: str
    runtime: str
    type: TaskType
    prefix: str
    output_location: str
    fingerprint: str
    created_at: Timestamp
    expires_at: Timestamp

    content: JsonObject | None = None
    content_ref: str | None = None
    context: Any = Field(default_factory=dict)
    model: str | None = None
    routed_by_model: bool = False
    task_token: str | None = Field(default=None, repr=False)

    status: TaskStatus = TaskStatus.QUEUED
    attempt: int = 0
    dispatch: int = 1
    lease_until: Timestamp | None = None
    started_at: Timestamp | None = None
    finished_at: Timestamp | None = None
    progress: float | None = None
    images: tuple[str, ...] = ()
    output_url: str | None = None
    error: TaskError | None = None
    timings: Timings | None = None

    @property
    def key(self) -> TaskKey:
        """What names the task."""
        return TaskKey(self.owner, self.id)

    def public(self) -> JsonObject:
        """The task as its owner sees it: JSON values, without what only the parts need."""
        return self.model_dump(mode="json", exclude=_INTERNAL)


_INTERNAL = {
    "owner",
    "fingerprint",
    "content",
    "content_ref",
    "routed_by_model",
    "task_token",
    "dispatch",
    "lease_until",
}


class Guard(StrEnum):
    """A condition, beside the state, under which a change is allowed."""

    FENCED = auto()  # the change comes from the attempt that holds the task
    LAPSED = auto()  # nobody holds the task: it is queued, or its lease has run out
    DUE = auto()  # the task's deadline has passed
    NOT_DUE = auto()


class Action(StrEnum):
    """A change of a task's state, by what is done to it."""

    CLAIM = auto()
    EXTEND = auto()
    RELEASE = auto()
    REQUEUE = auto()
    SUCCEED = auto()
    FAIL = auto()
    BURY = auto()
    CANCEL = auto()
    EXPIRE = auto()


@dataclass(frozen=True)
class Rule:
    """In which states an action is allowed, what guards it, and where it leads."""

    sources: frozenset[TaskStatus]
    target: TaskStatus
    guards: frozenset[Guard] = frozenset()


_RUNNING = frozenset({TaskStatus.RUNNING})

RULES: Mapping[Action, Rule] = {
    Action.CLAIM: Rule(OPEN, TaskStatus.RUNNING, frozenset({Guard.LAPSED, Guard.NOT_DUE})),
    Action.EXTEND: Rule(_RUNNING, TaskStatus.RUNNING, frozenset({Guard.FENCED})),
    Action.RELEASE: Rule(_RUNNING, TaskStatus.QUEUED, frozenset({Guard.FENCED})),
    Action.REQUEUE: Rule(_RUNNING, TaskStatus.QUEUED, frozenset({Guard.LAPSED})),
    Action.SUCCEED: Rule(_RUNNING, TaskStatus.SUCCEEDED, frozenset({Guard.FENCED})),
    Action.FAIL: Rule(_RUNNING, TaskStatus.FAILED, frozenset({Guard.FENCED})),
    Action.BURY: Rule(OPEN, TaskStatus.FAILED, frozenset({Guard.LAPSED})),
    Action.CANCEL: Rule(OPEN, TaskStatus.CANCELLED),
    Action.EXPIRE: Rule(OPEN, TaskStatus.EXPIRED, frozenset({Guard.DUE})),
}
"""Every allowed transition. Ended tasks are in no rule's sources: they stay as they are."""


class Refusal(StrEnum):
    """Why a change was refused."""

    UNKNOWN = auto()  # there is no such task
    REPLACED = auto()  # the change is meant for an earlier submission of this id
    ENDED = auto()
    NOT_RUNNING = auto()
    SUPERSEDED = auto()  # a later attempt holds the task
    LEASED = auto()  # another attempt holds the task
    DUE = auto()
    NOT_DUE = auto()


@dataclass(frozen=True)
class Change:
    """An action on one task at one time, and what it writes.

    `attempt` is the fencing number where the rule asks for one. `submission` (a task's `created_at`), where given,
    limits the change to that submission of the id.
    """

    action: Action
    now: datetime
    attempt: int | None = None
    submission: datetime | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    claims: int = 0
    dispatches: int = 0

    @property
    def rule(self) -> Rule:
        """The rule that decides about this change."""
        return RULES[self.action]


def check(task: Task | None, change: Change) -> Refusal | None:
    """Say why a store must refuse the change, or None where it must not."""
    if task is None:
        return Refusal.UNKNOWN
    if change.submission is not None and task.created_at != change.submission:
        return Refusal.REPLACED
    if task.status.ended:
        return Refusal.ENDED
    if task.status not in change.rule.sources:
        return Refusal.NOT_RUNNING
    return _check_guards(task, change)


def _check_guards(task: Task, change: Change) -> Refusal | None:
    guards = change.rule.guards
    due = task.expires_at <= change.now
    lapsed = task.lease_until is None or task.lease_until <= change.now
    if Guard.FENCED in guards and task.attempt != change.attempt:
        return Refusal.SUPERSEDED
    if Guard.NOT_DUE in guards and due:
        return Refusal.DUE
    if Guard.DUE in guards and not due:
        return Refusal.NOT_DUE
    if Guard.LAPSED in guards and not lapsed:
        return Refusal.LEASED
    return None


def changed(task: Task, change: Change) -> Task:
    """The task after a change that `check` allows."""
    return task.model_copy(
        update={
            **change.values,
            "status": change.rule.target,
            "attempt": task.attempt + change.claims,
            "dispatch": task.dispatch + change.dispatches,
        }
    )


def claim(now: datetime, lease: timedelta, submission: datetime | None = None) -> Change:
    """Take the task for one attempt, until `lease` from now."""
    values = {"lease_until": now + lease, "started_at": now, "progress": None, "error": None}
    return Change(Action.CLAIM, now, submission=submission, values=values, claims=1)


def extend(now: datetime, attempt: int, lease: timedelta, progress: float | None = None) -> Change:
    """Keep the task for `lease` from now, and say how far it is (0 to 1)."""
    values: dict[str, Any] = {"lease_until": now + lease}
    if progress is not None:
        values["progress"] = progress
    return Change(Action.EXTEND, now, attempt, values=values)


def release(now: datetime, attempt: int, error: TaskError | None = None) -> Change:
    """Give the task back unfinished; the message that brought it will bring it again."""
    return Change(Action.RELEASE, now, attempt, values={"lease_until": None, "progress": None, "error": error})


def requeue(now: datetime) -> Change:
    """Give a task whose holder has gone silent, and whose message is gone, a new message."""
    return Change(Action.REQUEUE, now, values={"lease_until": None, "progress": None}, dispatches=1)


def succeed(
    now: datetime, attempt: int, *, images: tuple[str, ...], output_url: str | None, timings: Timings | None
) -> Change:
    """End the task with its outputs."""
    return Change(
        Action.SUCCEED,
        now,
        attempt,
        values=_end(now) | {"progress": 1.0, "images": images, "output_url": output_url, "timings": timings},
    )


def fail(
    now: datetime,
    attempt: int,
    error: TaskError,
    *,
    output_url: str | None = None,
    timings: Timings | None = None,
) -> Change:
    """End the task without success."""
    values = _end(now) | {"error": error, "output_url": output_url, "timings": timings}
    return Change(Action.FAIL, now, attempt, values=values)


def bury(now: datetime, error: TaskError, submission: datetime | None = None) -> Change:
    """End a task that no agent could finish."""
    return Change(Action.BURY, now, submission=submission, values=_end(now) | {"error": error})


def cancel(now: datetime) -> Change:
    """End the task because its owner wants it no more."""
    error = TaskError(type="cancelled", message="the task was cancelled")
    return Change(Action.CANCEL, now, values=_end(now) | {"error": error})


def expire(now: datetime) -> Change:
    """End a task whose deadline has passed."""
    error = TaskError(type="expired", message="the task was not finished before its deadline", retryable=True)
    return Change(Action.EXPIRE, now, values=_end(now) | {"error": error})


def _end(now: datetime) -> dict[str, Any]:
    return {"lease_until": None, "finished_at": now}
