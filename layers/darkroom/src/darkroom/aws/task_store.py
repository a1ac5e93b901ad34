"""The tasks in DynamoDB: one item a task, every change one conditional write.

Item: `pk` is `owner/id`; scalars are attributes of their own; what has a shape of its own (content, context,
images …) is JSON text, so that it is read back exactly as it was written. `open` repeats the status while the
task is unfinished and makes the index `open` (`open`, `expires_at`) hold unfinished tasks only. `ttl` (epoch
seconds) lets DynamoDB drop a task some time after its end at the latest.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError
from pydantic_core import from_json, to_json

from darkroom.errors import TaskConflictError, TransitionRefusedError
from darkroom.models import to_text
from darkroom.tasks import Change, Guard, Refusal, Task, TaskKey, TaskStatus, check

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RETENTION = timedelta(days=30)
"""How long after its deadline a task's record is kept."""

OPEN_INDEX = "open"
_NUMBERS = frozenset({"attempt", "dispatch", "progress"})
_JSON = frozenset({"content", "context", "images", "error", "timings"})
_SUBMIT_TRIES = 5

Attribute = dict[str, Any]
Item = dict[str, Attribute]


def to_item(task: Task) -> Item:
    """A task as DynamoDB's item."""
    fields = {name: getattr(task, name) for name in Task.model_fields}
    item = {name: _encode(name, value) for name, value in fields.items() if value is not None}
    item["pk"] = {"S": str(task.key)}
    item["ttl"] = {"N": str(int((task.expires_at + RETENTION).timestamp()))}
    if not task.status.ended:
        item["open"] = {"S": task.status}
    return item


def from_item(item: Mapping[str, Mapping[str, Any]]) -> Task:
    """The task that an item (of the table or its stream) holds."""
    return Task.model_validate({name: _decode(name, item[name]) for name in Task.model_fields if name in item})


def _encode(name: str, value: object) -> Attribute:
    if name in _JSON:
        return {"S": to_json(value).decode()}
    if name in _NUMBERS:
        return {"N": str(value)}
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"S": to_text(value) if isinstance(value, datetime) else str(value)}


def _decode(name: str, attribute: Mapping[str, Any]) -> object:
    ((_, value),) = attribute.items()
    return from_json(value) if name in _JSON else value


class DynamoTaskStore:
    """A `TaskStore` in one table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def submit(self, task: Task) -> Task:
        """See `TaskStore.submit`."""
        condition: Mapping[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        for _ in range(_SUBMIT_TRIES):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=to_item(task),
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **condition,
                )
            except ClientError as error:
                old = _loser(error)
            else:
                return task
            if old is None:  # it went away in between
                condition = {"ConditionExpression": "attribute_not_exists(pk)"}
                continue
            if not old.status.ended:
                if old.fingerprint != task.fingerprint:
                    raise TaskConflictError
                return old
            task = task.model_copy(update={"attempt": old.attempt})
            condition = _same_end(old)
        raise TaskConflictError("the task is being submitted elsewhere at the same time")

    def get(self, key: TaskKey) -> Task | None:
        """See `TaskStore.get`."""
        answer = self._client.get_item(TableName=self._table, Key=_key(key), ConsistentRead=True)
        return from_item(answer["Item"]) if "Item" in answer else None

    def apply(self, key: TaskKey, change: Change) -> Task:
        """See `TaskStore.apply`."""
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key=_key(key),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **_Update(change).parameters(),
            )
        except ClientError as error:
            task = _loser(error)
            raise TransitionRefusedError(check(task, change) or Refusal.SUPERSEDED, task) from error
        return from_item(answer["Attributes"])

    def due(self, now: datetime) -> Iterator[Task]:
        """See `TaskStore.due`."""
        for status in (TaskStatus.QUEUED, TaskStatus.RUNNING):
            yield from self._open(status, "#open = :open AND expires_at <= :now", {":now": {"S": to_text(now)}})

    def lapsed(self, before: datetime) -> Iterator[Task]:
        """See `TaskStore.lapsed`."""
        tasks = self._open(TaskStatus.RUNNING, "#open = :open", {})
        return (task for task in tasks if task.lease_until is not None and task.lease_until < before)

    def _open(self, status: TaskStatus, condition: str, values: Item) -> Iterator[Task]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=OPEN_INDEX,
            KeyConditionExpression=condition,
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues={":open": {"S": status}, **values},
        )
        for page in pages:
            yield from map(from_item, page["Items"])


class _Update:
    """A change in DynamoDB's words."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._names: dict[str, str] = {}
        self._values: Item = {}

    def parameters(self) -> dict[str, Any]:
        condition = " AND ".join(self._conditions())
        return {
            "ConditionExpression": condition,
            "UpdateExpression": self._assignments(),
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": self._values,
        }

    def _conditions(self) -> Iterator[str]:
        change = self._change
        sources = ", ".join(self._value(f"from{n}", {"S": s}) for n, s in enumerate(sorted(change.rule.sources)))
        yield f"{self._name('status')} IN ({sources})"
        if change.submission is not None:
            yield f"{self._name('created_at')} = {self._value('submission', _encode('', change.submission))}"
        now = _encode("", change.now)
        for guard in sorted(change.rule.guards):
            match guard:
                case Guard.FENCED:
                    yield f"{self._name('attempt')} = {self._value('attempt', {'N': str(change.attempt)})}"
                case Guard.LAPSED:
                    lease = self._name("lease_until")
                    yield f"(attribute_not_exists({lease}) OR {lease} <= {self._value('now', now)})"
                case Guard.DUE:
                    yield f"{self._name('expires_at')} <= {self._value('now', now)}"
                case Guard.NOT_DUE:
                    yield f"{self._name('expires_at')} > {self._value('now', now)}"

    def _assignments(self) -> str:
        change = self._change
        target = change.rule.target
        values = {"status": target, **change.values}
        if not target.ended:
            values["open"] = target
        added = {"attempt": change.claims, "dispatch": change.dispatches}
        parts = {
            "SET": [
                f"{self._name(n)} = {self._value(f'set_{n}', _encode(n, v))}"
                for n, v in values.items()
                if v is not None
            ],
            "ADD": [f"{self._name(n)} {self._value(f'add_{n}', {'N': str(v)})}" for n, v in added.items() if v],
            "REMOVE": [self._name(n) for n, v in values.items() if v is None]
            + ([self._name("open")] if target.ended else []),
        }
        return " ".join(f"{verb} {', '.join(terms)}" for verb, terms in parts.items() if terms)

    def _name(self, name: str) -> str:
        self._names[f"#{name}"] = name
        return f"#{name}"

    def _value(self, name: str, attribute: Attribute) -> str:
        self._values[f":{name}"] = attribute
        return f":{name}"


def _key(key: TaskKey) -> Item:
    return {"pk": {"S": str(key)}}


def _same_end(old: Task) -> dict[str, Any]:
    return {
        "ConditionExpression": "#status = :status AND attempt = :attempt AND created_at = :created",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {
            ":status": {"S": old.status},
            ":attempt": {"N": str(old.attempt)},
            ":created": {"S": to_text(old.created_at)},
        },
    }


def _loser(error: ClientError) -> Task | None:
    """The task that a failed condition found in its way; any other error goes on."""
    if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
        raise error
    item = cast("Item | None", error.response.get("Item"))
    return from_item(item) if item else None
