"""Lists of an owner's tasks: newest first, filtered, page by page.

A page begins after a position, not after a count, so tasks that are added meanwhile shift nothing.
"""

import base64
import binascii
import re
from datetime import datetime
from typing import Annotated, NamedTuple, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, WithJsonSchema

from darkroom.models import LateModel, to_text
from darkroom.tasks import Task, TaskStatus, TaskType

PAGE = 100
"""The most tasks on one page."""

_POSITION = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)/([A-Za-z0-9._-]{1,128})")
_YEARS = range(2000, 10_000)


class Position(NamedTuple):
    """Where a task stands in its owner's list. Texts of positions sort as the list does, oldest first."""

    created_at: str
    id: str

    def __str__(self) -> str:
        return f"{self.created_at}/{self.id}"

    @classmethod
    def of(cls, task: Task) -> Self:
        """A task's position."""
        return cls(to_text(task.created_at), task.id)

    def to_cursor(self) -> str:
        """The position as callers get it: a text to hand back, and not to read."""
        return base64.urlsafe_b64encode(str(self).encode()).decode().rstrip("=")

    @classmethod
    def from_cursor(cls, cursor: str) -> Self:
        """Read a cursor.

        Raises:
            ValueError: it is none of ours.
        """
        try:
            text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            text = ""
        match = _POSITION.fullmatch(text)
        if match is None or cls(*match.groups()).to_cursor() != cursor:
            raise ValueError("is not a cursor of this API: take it from `next_cursor` of the page before")
        return cls(*match.groups())


def _check_year(time: datetime) -> datetime:
    if time.year not in _YEARS:
        raise ValueError(f"the year must be {_YEARS.start} to {_YEARS.stop - 1}")
    return time


Moment = Annotated[AwareDatetime, AfterValidator(_check_year)]
Name = Annotated[str, Field(min_length=1, max_length=256)]


def read_cursor(cursor: object) -> object:
    """A cursor as the position that it stands for; anything else as it is, for pydantic to refuse."""
    return Position.from_cursor(cursor) if isinstance(cursor, str) else cursor


class TaskFilter(LateModel):
    """Which tasks a list holds: those that fit every field that is set.

    `since` (inclusive) and `until` (exclusive) are times of creation.
    """

    status: frozenset[TaskStatus] = frozenset()
    type: frozenset[TaskType] = frozenset()
    runtime: Name | None = None
    model: Name | None = None
    pipeline: Name | None = None
    since: Moment | None = None
    until: Moment | None = None

    @property
    def named(self) -> dict[str, str]:
        """The fields of a task that must have one value."""
        values = {"runtime": self.runtime, "model": self.model, "pipeline_id": self.pipeline}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def selective(self) -> bool:
        """True where more is asked of a task than its time."""
        return bool(self.status or self.type or self.named)

    def fits(self, task: Task) -> bool:
        """True for a task that belongs in the list."""
        return (
            (not self.status or task.status in self.status)
            and (not self.type or task.type in self.type)
            and all(getattr(task, name) == value for name, value in self.named.items())
            and (self.since is None or task.created_at >= self.since)
            and (self.until is None or task.created_at < self.until)
        )


class TaskQuery(TaskFilter):
    """What a caller asks of a list: which tasks, how many on a page, and after which place."""

    limit: Annotated[int, Field(ge=1, le=PAGE)] = 10
    cursor: Annotated[Position | None, BeforeValidator(read_cursor), WithJsonSchema({"type": "string"})] = None


class Page(NamedTuple):
    """A stretch of a list, and whether there are more tasks behind it. The tasks come without their contents."""

    tasks: tuple[Task, ...]
    more: bool

    @property
    def cursor(self) -> str | None:
        """Where the next page begins."""
        return Position.of(self.tasks[-1]).to_cursor() if self.more else None
