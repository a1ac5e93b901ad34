"""A task as DynamoDB's item, and back.

`pk` is `owner/id`; scalars are attributes of their own; what has a shape of its own (content, context, images …) is
JSON text, so that it is read back exactly as it was written. `open` repeats the status while the task is unfinished
and makes the index `open` (`open`, `expires_at`) hold unfinished tasks only. `listed` (creation time and id) sorts
an owner's tasks in the index `by_owner`. `tells` lets the stream's filter know whose progress is told. `ttl` (epoch
seconds) lets DynamoDB drop a task some time after its end at the latest.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from pydantic_core import from_json, to_json

from darkroom.listings import Position
from darkroom.models import to_text
from darkroom.tasks import Task, TaskKey

RETENTION = timedelta(days=30)
"""How long after its deadline a task's record is kept."""

_NUMBERS = frozenset({"attempt", "dispatch", "progress"})
_JSON = frozenset({"content", "context", "images", "error", "timings", "webhook", "output"})
_LISTS = frozenset({"history"})  # of JSON texts, so that a change can append

Attribute = dict[str, Any]
Item = dict[str, Attribute]


def to_item(task: Task) -> Item:
    """A task as DynamoDB's item."""
    fields = {name: getattr(task, name) for name in Task.model_fields}
    item = {name: encode(name, value) for name, value in fields.items() if value is not None}
    item["pk"] = {"S": str(task.key)}
    item["listed"] = {"S": str(Position.of(task))}
    item["ttl"] = {"N": str(int((task.expires_at + RETENTION).timestamp()))}
    if not task.status.ended:
        item["open"] = {"S": task.status}
    if task.webhook is not None and "task.progress" in task.webhook.events:
        item["tells"] = {"S": "progress"}
    return item


def from_item(item: Mapping[str, Mapping[str, Any]]) -> Task:
    """The task that an item (of the table or its stream) holds."""
    return Task.model_validate({name: decode(name, item[name]) for name in Task.model_fields if name in item})


def to_key(key: TaskKey) -> Item:
    """What names a task's item."""
    return {"pk": {"S": str(key)}}


def encode(name: str, value: object) -> Attribute:
    """The value of a task's field as an attribute."""
    if name in _JSON:
        return {"S": to_json(value).decode()}
    if name in _LISTS:
        return {"L": [{"S": to_json(entry).decode()} for entry in cast("tuple[object, ...]", value)]}
    if name in _NUMBERS:
        return {"N": str(value)}
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"S": to_text(value) if isinstance(value, datetime) else str(value)}


def decode(name: str, attribute: Mapping[str, Any]) -> object:
    """The value that an attribute holds."""
    ((_, value),) = attribute.items()
    if name in _LISTS:
        return [from_json(entry["S"]) for entry in value]
    return from_json(value) if name in _JSON else value
