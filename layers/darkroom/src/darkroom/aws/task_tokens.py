"""The unfinished tasks that a state machine waits for, found in the tasks table's index of unfinished tasks."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from darkroom.aws.task_items import from_item
from darkroom.aws.task_store import OPEN_INDEX
from darkroom.tasks import OPEN, Task

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def waiting_tasks(client: "DynamoDBClient", table: str) -> Iterator[Task]:
    """The unfinished tasks that hold a token, without their contents. The index may lag by a moment."""
    for status in sorted(OPEN):
        pages = client.get_paginator("query").paginate(
            TableName=table,
            IndexName=OPEN_INDEX,
            KeyConditionExpression="#open = :open",
            FilterExpression="attribute_exists(task_token)",
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues={":open": {"S": status}},
        )
        for page in pages:
            yield from map(from_item, page["Items"])
