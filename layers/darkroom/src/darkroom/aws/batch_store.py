"""The batches in DynamoDB, in the table of pipelines.

Items of one batch share `pk` (`owner/batches/id`); `sk` is `batch` or `row#<number>`. `data` is the record as JSON;
what conditions and filters ask for stands beside it. In the index `listed` (`listed`, `created_at`) are the headers
of an owner (`owner/batches`, by position) and the rows that failed in a run (`owner/batches/id/<run>`, by number).
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from darkroom.aws.pipeline_store import LISTED_INDEX, RETENTION
from darkroom.batches import (
    Batch,
    BatchEnd,
    BatchKey,
    BatchStatus,
    Counts,
    RowFailure,
    RowRecord,
    RowStatus,
    check_restart,
    restarted,
)
from darkroom.errors import BatchConflictError, BatchStateError
from darkroom.listings import Position

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FOLDER = "batches"
_HEADER = "batch"
Item = dict[str, dict[str, Any]]


class DynamoBatchStore:
    """A `BatchStore`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def create(self, batch: Batch) -> Batch:
        """See `BatchStore.create`."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item=header(batch),
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            _check_lost(error)
            item: Any = error.response.get("Item")
            old = _read_batch(item) if item else None
            if old is None or old.fingerprint != batch.fingerprint:
                raise BatchConflictError from error
            return old
        return batch

    def get(self, key: BatchKey) -> Batch | None:
        """See `BatchStore.get`."""
        answer = self._client.get_item(TableName=self._table, Key=_key(key, _HEADER), ConsistentRead=True)
        return _read_batch(answer["Item"]) if "Item" in answer else None

    def page(self, owner: str, limit: int, after: Position | None = None) -> list[Batch]:
        """See `BatchStore.page`."""
        found = self._listed(f"{owner}/{FOLDER}", limit, None if after is None else str(after))
        return [_read_batch(item) for item in found]

    def set_rows(self, key: BatchKey, run: int, rows: int) -> bool:
        """See `BatchStore.set_rows`."""
        batch = self.get(key)
        return batch is not None and self._replace(batch, run, {BatchStatus.RUNNING}, {"rows": rows})

    def end(self, key: BatchKey, run: int, end: BatchEnd) -> bool:
        """See `BatchStore.end`."""
        batch = self.get(key)
        return batch is not None and self._replace(batch, run, {BatchStatus.RUNNING}, end.values)

    def settle(self, key: BatchKey, run: int, counts: Counts, failures: tuple[RowFailure, ...]) -> bool:
        """See `BatchStore.settle`."""
        batch = self.get(key)
        ends = set(BatchStatus) - {BatchStatus.RUNNING}
        if batch is None or batch.counts is not None:
            return False
        return self._replace(batch, run, ends, {"counts": counts, "failures": failures})

    def restart(self, key: BatchKey, now: datetime, expires_at: datetime) -> Batch:
        """See `BatchStore.restart`."""
        batch = check_restart(self.get(key))
        again = restarted(batch, now, expires_at)
        if not self._put(again, batch):
            raise BatchStateError("The batch was started again at the same time.")
        return again

    def _replace(self, batch: Batch, run: int, of: set[BatchStatus], values: Mapping[str, Any]) -> bool:
        if batch.run != run or batch.status not in of:
            return False
        return self._put(batch.model_copy(update=dict(values)), batch)

    def _put(self, batch: Batch, old: Batch) -> bool:
        """Write a header over the one that was read. Returns False where that one is no longer there."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item=header(batch),
                ConditionExpression="#data = :data",
                ExpressionAttributeNames={"#data": "data"},
                ExpressionAttributeValues={":data": {"S": old.model_dump_json()}},
            )
        except ClientError as error:
            _check_lost(error)
            return False
        return True

    def put_row(self, batch: Batch, record: RowRecord) -> None:
        """See `BatchStore.put_row`."""
        item: Item = {
            **_key(batch.key, _place(record.row)),
            "data": {"S": record.model_dump_json()},
            "status": {"S": record.status},
            "ttl": _ttl(batch),
        }
        if record.status is RowStatus.FAILED:
            item["listed"] = {"S": _failed_in(batch.key, record.run)}
            item["created_at"] = {"S": _place(record.row)}
        self._client.put_item(TableName=self._table, Item=item)

    def row(self, key: BatchKey, row: int) -> RowRecord | None:
        """See `BatchStore.row`."""
        answer = self._client.get_item(TableName=self._table, Key=_key(key, _place(row)), ConsistentRead=True)
        return _read_row(answer["Item"]) if "Item" in answer else None

    def rows(self, key: BatchKey) -> Iterator[RowRecord]:
        """See `BatchStore.rows`."""
        return self._rows(key)

    def running(self, key: BatchKey) -> Iterator[RowRecord]:
        """See `BatchStore.running`."""
        return self._rows(
            key,
            {
                "FilterExpression": "#status = :running",
                "ExpressionAttributeNames": {"#status": "status"},
            },
            {":running": {"S": RowStatus.RUNNING}},
        )

    def failures(self, key: BatchKey, run: int, limit: int) -> list[RowFailure]:
        """See `BatchStore.failures`."""
        found = self._listed(_failed_in(key, run), limit, forward=True)
        return [RowFailure.of(_read_row(item)) for item in found]

    def _listed(
        self, whose: str, limit: int, before: str | None = None, *, forward: bool = False
    ) -> list[Mapping[str, Any]]:
        earlier = " AND created_at < :before" if before is not None else ""
        values = {":whose": {"S": whose}} | ({":before": {"S": before}} if before is not None else {})
        answer = self._client.query(
            TableName=self._table,
            IndexName=LISTED_INDEX,
            KeyConditionExpression=f"listed = :whose{earlier}",
            ExpressionAttributeValues=values,
            ScanIndexForward=forward,
            Limit=limit,
        )
        return list(answer["Items"])

    def _rows(
        self, key: BatchKey, asked: Mapping[str, Any] | None = None, values: Item | None = None
    ) -> Iterator[RowRecord]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": _partition(key)}, ":prefix": {"S": "row#"}, **(values or {})},
            ConsistentRead=True,
            **(asked or {}),
        )
        for page in pages:
            yield from map(_read_row, page["Items"])


def header(batch: Batch) -> Item:
    """A batch's header as an item."""
    return {
        **_key(batch.key, _HEADER),
        "data": {"S": batch.model_dump_json()},
        "listed": {"S": f"{batch.owner}/{FOLDER}"},
        "created_at": {"S": str(batch.position)},
        "ttl": _ttl(batch),
    }


def read_batch_change(image: Mapping[str, Any]) -> Batch:
    """The batch that an image of a header in the table's stream holds."""
    return _read_batch(image)


def _partition(key: BatchKey) -> str:
    return f"{key.owner}/{FOLDER}/{key.id}"


def _place(row: int) -> str:
    return f"row#{row:06}"


def _failed_in(key: BatchKey, run: int) -> str:
    return f"{_partition(key)}/{run}"


def _key(key: BatchKey, sort: str) -> Item:
    return {"pk": {"S": _partition(key)}, "sk": {"S": sort}}


def _ttl(batch: Batch) -> dict[str, str]:
    return {"N": str(int((batch.expires_at + RETENTION).timestamp()))}


def _read_batch(item: Mapping[str, Any]) -> Batch:
    return Batch.model_validate(json.loads(item["data"]["S"]))


def _read_row(item: Mapping[str, Any]) -> RowRecord:
    return RowRecord.model_validate_json(item["data"]["S"])


def _check_lost(error: ClientError) -> None:
    """Go on with any error but a condition that did not hold."""
    if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
        raise error
