"""The log of deliveries in DynamoDB: one item a webhook, below its task.

Item: `pk` is the task's `owner/id`, `sk` the `webhook-id`; `made` counts the tries, and fences; `delivery` is the
record as JSON text; `ttl` (epoch seconds) ends it.
"""

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from botocore.exceptions import ClientError

from darkroom.deliveries import Delivery, newest_first
from darkroom.tasks import TaskKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RETENTION = timedelta(days=14)
"""How long after its last try a delivery is kept: as long as a dead letter can be sent again."""

MAX_SHOWN = 300
"""How many deliveries of one task are read."""


class DynamoDeliveryLog:
    """A `DeliveryLog` in one table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def get(self, key: TaskKey, webhook_id: UUID) -> Delivery | None:
        """See `DeliveryLog.get`."""
        name = {"pk": {"S": str(key)}, "sk": {"S": str(webhook_id)}}
        answer = self._client.get_item(TableName=self._table, Key=name, ConsistentRead=True)
        return Delivery.model_validate_json(answer["Item"]["delivery"]["S"]) if "Item" in answer else None

    def record(self, delivery: Delivery) -> None:
        """See `DeliveryLog.record`."""
        ends = delivery.tries[-1].at + RETENTION
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    "pk": {"S": str(delivery.key)},
                    "sk": {"S": str(delivery.webhook_id)},
                    "made": {"N": str(delivery.made)},
                    "delivery": {"S": delivery.to_json()},
                    "ttl": {"N": str(int(ends.timestamp()))},
                },
                ConditionExpression="attribute_not_exists(pk) OR made < :made",
                ExpressionAttributeValues={":made": {"N": str(delivery.made)}},
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
                raise

    def of(self, key: TaskKey) -> list[Delivery]:
        """See `DeliveryLog.of`."""
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": str(key)}},
            Limit=MAX_SHOWN,
        )
        return newest_first(Delivery.model_validate_json(item["delivery"]["S"]) for item in answer["Items"])
