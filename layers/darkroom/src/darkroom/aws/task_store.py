"""The tasks in DynamoDB: one item a task, every change one conditional write.

What an item holds stands in `darkroom.aws.task_items`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from darkroom.aws.task_items import Item, encode, from_item, to_item, to_key
from darkroom.aws.task_pages import TaskPages
from darkroom.aws.task_updates import TaskUpdate
from darkroom.errors import TaskConflictError, TransitionRefusedError
from darkroom.listings import Page, Position, TaskFilter
from darkroom.models import to_text
from darkroom.tasks import Change, Refusal, Task, TaskKey, TaskStatus, check, check_deletion

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

OPEN_INDEX = "open"
_LOOKED_THROUGH = 1000
_SUBMIT_TRIES = 5


class DynamoTaskStore:
    """A `TaskStore` in one table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table
        self._pages = TaskPages(client, table)

    def submit(self, task: Task, *, replace: bool = True) -> Task:
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
            if not (replace and old.status.ended):
                if old.fingerprint != task.fingerprint:
                    raise TaskConflictError
                return old
            task = task.model_copy(update={"attempt": old.attempt})
            condition = _same_end(old)
        raise TaskConflictError("the task is being submitted elsewhere at the same time")

    def get(self, key: TaskKey) -> Task | None:
        """See `TaskStore.get`."""
        answer = self._client.get_item(TableName=self._table, Key=to_key(key), ConsistentRead=True)
        return from_item(answer["Item"]) if "Item" in answer else None

    def apply(self, key: TaskKey, change: Change) -> Task:
        """See `TaskStore.apply`."""
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key=to_key(key),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **TaskUpdate(change).parameters(),
            )
        except ClientError as error:
            task = _loser(error)
            raise TransitionRefusedError(check(task, change) or Refusal.SUPERSEDED, task) from error
        return from_item(answer["Attributes"])

    def delete(self, key: TaskKey, submission: datetime) -> None:
        """See `TaskStore.delete`."""
        try:
            self._client.delete_item(
                TableName=self._table,
                Key=to_key(key),
                ConditionExpression="created_at = :submission AND attribute_not_exists(#open)",
                ExpressionAttributeNames={"#open": "open"},
                ExpressionAttributeValues={":submission": encode("", submission)},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            task = _loser(error)
            raise TransitionRefusedError(check_deletion(task, submission) or Refusal.REPLACED, task) from error

    def page(self, owner: str, which: TaskFilter, limit: int, after: Position | None = None) -> Page:
        """See `TaskStore.page`."""
        return self._pages.page(owner, which, limit, after)

    def oldest(self, runtime: str) -> Task | None:
        """See `TaskStore.oldest`. Looks through the thousand tasks that are due first, of all runtimes."""
        answer = self._client.query(
            TableName=self._table,
            IndexName=OPEN_INDEX,
            KeyConditionExpression="#open = :open",
            FilterExpression="runtime = :runtime",
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues={":open": {"S": TaskStatus.QUEUED}, ":runtime": {"S": runtime}},
            Limit=_LOOKED_THROUGH,
        )
        return from_item(answer["Items"][0]) if answer["Items"] else None

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
