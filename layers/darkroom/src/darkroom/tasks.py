"""A task and its life.

`RULES` is the state machine, whole: which change may happen in which states, and under which guards. A task is
changed in no other way. Stores apply a `Change` atomically: `check` says what they must refuse.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, auto
from typing import Any, Literal, NamedTuple, TypeAlias

from pydantic import Field

from darkroom.models import JsonObject, Model, Timestamp
from darkroom.outputs import OutputOptions
from darkroom.webhooks import Webhook

Priority: TypeAlias = Literal["low", "normal", "high"]


class TaskType(StrEnum):
    """What a task asks for; the names are the user guide's."""

    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_TO_IMAGE = "image-to-image"
    EXTRA_SINGLE_IMAGE = "extra-single-image"
    EXTRA_BATCH_IMAGES = "extra-batch-images"
    INTERROGATE = "interrogate"
    PIPELINE = "pipeline"


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


class Mark(StrEnum):
    """What befell an attempt before the task's end."""

    CLAIMED = auto()  # it began
    RELEASED = auto()  # it gave the task back
    LAPSED = auto()  # it went silent, and its task waits again


class HistoryEntry(Model):
    """One line of a task's history. `darkroom.attempts` reads attempts from it."""

    mark: Mark
    at: Timestamp
    error: TaskError | None = None


class Task(Model):
    """One piece of work.

    `attempt` counts claims and fences them: what an older attempt says is refused. `dispatch` counts how often the
    task was put on a queue. `created_at` tells submissions of one id apart. `fingerprint` is a digest of the body
    that asked for it. `content` is absent where `content_ref` says where it lies. `preview` is a link to what the
    running attempt shows so far. `history` tells of this submission's attempts. `variant` names the tool where a
    type has several (`clip` of `interrogate`).
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
    pipeline_id: str | None = None
    step: str | None = None
    variant: str | None = None
    priority: Priority = "normal"
    webhook: Webhook | None = None
    output: OutputOptions | None = None

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
    preview: str | None = None
    history: tuple[HistoryEntry, ...] = ()

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
    "history",
    "variant",
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
    """In which states an action is allowed, what guards it, where it leads, and what history says of it."""

    sources: frozenset[TaskStatus]
    target: TaskStatus
    guards: frozenset[Guard] = frozenset()
    mark: Mark | None = None


_RUNNING = frozenset({TaskStatus.RUNNING})

RULES: Mapping[Action, Rule] = {
    Action.CLAIM: Rule(OPEN, TaskStatus.RUNNING, frozenset({Guard.LAPSED, Guard.NOT_DUE}), Mark.CLAIMED),
    Action.EXTEND: Rule(_RUNNING, TaskStatus.RUNNING, frozenset({Guard.FENCED})),
    Action.RELEASE: Rule(_RUNNING, TaskStatus.QUEUED, frozenset({Guard.FENCED}), Mark.RELEASED),
    Action.REQUEUE: Rule(_RUNNING, TaskStatus.QUEUED, frozenset({Guard.LAPSED}), Mark.LAPSED),
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
    UNFINISHED = auto()  # only what has ended can be deleted


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

    @property
    def entry(self) -> HistoryEntry | None:
        """What the change adds to the task's history."""
        mark = self.rule.mark
        return HistoryEntry(mark=mark, at=self.now, error=self.values.get("error")) if mark is not None else None


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


def check_deletion(task: Task | None, submission: datetime) -> Refusal | None:
    """Say why a store must not forget a task, or None where it may."""
    if task is None:
        return Refusal.UNKNOWN
    if task.created_at != submission:
        return Refusal.REPLACED
    return None if task.status.ended else Refusal.UNFINISHED


def changed(task: Task, change: Change) -> Task:
    """The task after a change that `check` allows."""
    return task.model_copy(
        update={
            **change.values,
            "status": change.rule.target,
            "attempt": task.attempt + change.claims,
            "dispatch": task.dispatch + change.dispatches,
            "history": task.history + ((change.entry,) if change.entry is not None else ()),
        }
    )


def claim(now: datetime, lease: timedelta, submission: datetime | None = None) -> Change:
    """Take the task for one attempt, until `lease` from now."""
    values = {"lease_until": now + lease, "started_at": now, "progress": None, "preview": None, "error": None}
    return Change(Action.CLAIM, now, submission=submission, values=values, claims=1)


def extend(
    now: datetime,
    attempt: int,
    lease: timedelta,
    progress: float | None = None,
    preview: str | None = None,
) -> Change:
    """Keep the task for `lease` from now; say how far it is (0 to 1), and link to what it shows so far."""
    said = {"progress": progress, "preview": preview}
    values = {"lease_until": now + lease} | {name: value for name, value in said.items() if value is not None}
    return Change(Action.EXTEND, now, attempt, values=values)


def release(now: datetime, attempt: int, error: TaskError | None = None) -> Change:
    """Give the task back unfinished; the message that brought it will bring it again."""
    return Change(Action.RELEASE, now, attempt, values=_freed() | {"error": error})


def requeue(now: datetime) -> Change:
    """Give a task whose holder has gone silent, and whose message is gone, a new message."""
    return Change(Action.REQUEUE, now, values=_freed(), dispatches=1)


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


def _freed() -> dict[str, Any]:
    return {"lease_until": None, "progress": None, "preview": None}


def _end(now: datetime) -> dict[str, Any]:
    return {"lease_until": None, "finished_at": now}
