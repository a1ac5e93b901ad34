"""Saved pipeline documents, in the table of pipelines: `pk` is `owner/definitions/`, `sk` name and version."""

import json
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from darkroom.errors import DefinitionNotFoundError, PipelineConflictError
from darkroom.models import JsonObject, to_text

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TRIES = 5


class DynamoDefinitionStore:
    """A `DefinitionStore`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def save(self, owner: str, name: str, document: JsonObject, now: datetime) -> int:
        """See `DefinitionStore.save`."""
        for _ in range(_TRIES):
            latest = self.names(owner).get(name, 0)
            if latest and self.load(owner, name, latest)[1] == document:
                return latest
            item = self._key(owner, name, latest + 1) | {
                "data": {"S": json.dumps(document)},
                "created_at": {"S": to_text(now)},
            }
            try:
                self._client.put_item(
                    TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(pk)"
                )
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
                    raise
                continue
            return latest + 1
        raise PipelineConflictError("The definition is being saved elsewhere at the same time.")

    def load(self, owner: str, name: str, version: int | None = None) -> tuple[int, JsonObject]:
        """See `DefinitionStore.load`."""
        number = self.names(owner).get(name, 0) if version is None else version
        answer = self._client.get_item(
            TableName=self._table, Key=self._key(owner, name, number), ConsistentRead=True
        )
        if "Item" not in answer:
            raise DefinitionNotFoundError(f"You have no pipeline definition {name!r} of that version.")
        return number, json.loads(answer["Item"]["data"]["S"])

    def names(self, owner: str) -> dict[str, int]:
        """See `DefinitionStore.names`."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"{owner}/definitions/"}},
            ProjectionExpression="sk",
            ConsistentRead=True,
        )
        found: dict[str, int] = {}
        for page in pages:
            for item in page["Items"]:
                name, _, version = item["sk"]["S"].rpartition("#")
                found[name] = max(found.get(name, 0), int(version))
        return found

    def _key(self, owner: str, name: str, version: int) -> dict[str, dict[str, str]]:
        return {"pk": {"S": f"{owner}/definitions/"}, "sk": {"S": f"{name}#{version:06}"}}
