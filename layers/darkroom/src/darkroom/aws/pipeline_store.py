"""The pipelines in DynamoDB.

Items of one pipeline share `pk` (`owner/id`); `sk` is `pipeline`, `step#<id>` or `task#<step>#<index>`. `data` is
the record as JSON; what conditions and indexes ask for stands beside it. Only headers have `listed` (the owner) and
are in the index `listed` (`listed`, `created_at`), by their position. `ttl` (epoch seconds) lets DynamoDB drop a
pipeline.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from darkroom.errors import PipelineConflictError, PipelineNotFoundError, PipelineStateError
from darkroom.models import Model
from darkroom.pipelines import (
    Assignment,
    End,
    Pipeline,
    PipelineKey,
    PipelineStatus,
    StepRecord,
    restarted,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RETENTION = timedelta(days=30)
"""How long after its deadline a pipeline's record is kept."""

LISTED_INDEX = "listed"
Item = dict[str, dict[str, Any]]
M = TypeVar("M", bound=Model)


class DynamoPipelineStore:
    """A `PipelineStore` in one table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def create(self, pipeline: Pipeline) -> Pipeline:
        """See `PipelineStore.create`."""
        try:
            self._put(header(pipeline), "attribute_not_exists(pk)", {}, {})
        except ClientError as error:
            old = _loser(error)
            if old is None or old.fingerprint != pipeline.fingerprint:
                raise PipelineConflictError from error
            return old
        return pipeline

    def get(self, key: PipelineKey) -> Pipeline | None:
        """See `PipelineStore.get`."""
        item = self._client.get_item(TableName=self._table, Key=_key(key, "pipeline"), ConsistentRead=True)
        return _read(Pipeline, item["Item"]) if "Item" in item else None

    def page(self, owner: str, limit: int, before: str | None = None) -> list[Pipeline]:
        """See `PipelineStore.page`."""
        earlier = " AND created_at < :before" if before is not None else ""
        values = {":owner": {"S": owner}} | ({":before": {"S": before}} if before is not None else {})
        answer = self._client.query(
            TableName=self._table,
            IndexName=LISTED_INDEX,
            KeyConditionExpression=f"listed = :owner{earlier}",
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
            Limit=limit,
        )
        return [_read(Pipeline, item) for item in answer["Items"]]

    def end(self, key: PipelineKey, run: int, end: End) -> bool:
        """See `PipelineStore.end`."""
        pipeline = self.get(key)
        if pipeline is None or pipeline.status.ended or pipeline.run != run:
            return False
        return self._replace(pipeline.model_copy(update=end.values), PipelineStatus.RUNNING, run)

    def restart(self, key: PipelineKey, now: datetime, expires_at: datetime) -> Pipeline:
        """See `PipelineStore.restart`."""
        pipeline = self.get(key)
        if pipeline is None:
            raise PipelineNotFoundError
        if pipeline.status not in {PipelineStatus.FAILED, PipelineStatus.CANCELLED}:
            raise PipelineStateError(f"The pipeline is {pipeline.status}.")
        again = restarted(pipeline, now, expires_at)
        if not self._replace(again, pipeline.status, pipeline.run):
            raise PipelineStateError("The pipeline was started again at the same time.")
        return again

    def put_step(self, key: PipelineKey, record: StepRecord) -> None:
        """See `PipelineStore.put_step`."""
        self._put(_item(key, f"step#{record.id}", record))

    def steps(self, key: PipelineKey) -> dict[str, StepRecord]:
        """See `PipelineStore.steps`."""
        found = (_read(StepRecord, item) for item in self._query(key, "step#"))
        return {record.id: record for record in found}

    def put_assignment(self, key: PipelineKey, assignment: Assignment) -> None:
        """See `PipelineStore.put_assignment`."""
        self._put(_item(key, _place(assignment.step, assignment.index), assignment))

    def assignment(self, key: PipelineKey, step: str, index: int) -> Assignment | None:
        """See `PipelineStore.assignment`."""
        place = _key(key, _place(step, index))
        answer = self._client.get_item(TableName=self._table, Key=place, ConsistentRead=True)
        return _read(Assignment, answer["Item"]) if "Item" in answer else None

    def assignments(self, key: PipelineKey, step: str | None = None) -> list[Assignment]:
        """See `PipelineStore.assignments`."""
        prefix = "task#" if step is None else f"task#{step}#"
        return [_read(Assignment, item) for item in self._query(key, prefix)]

    def _replace(self, pipeline: Pipeline, status: PipelineStatus, run: int) -> bool:
        """Write a header, if it is still in that status and run."""
        try:
            self._put(
                header(pipeline),
                "#status = :status AND #run = :run",
                {"#status": "status", "#run": "run"},
                {":status": {"S": status}, ":run": {"N": str(run)}},
            )
        except ClientError as error:
            _loser(error)
            return False
        return True

    def _put(
        self,
        item: Item,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Item | None = None,
    ) -> None:
        asked: dict[str, Any] = {
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD" if condition else None,
        }
        given = {name: value for name, value in asked.items() if value}
        self._client.put_item(TableName=self._table, Item=item, **given)

    def _query(self, key: PipelineKey, prefix: str) -> Iterator[Mapping[str, Any]]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": str(key)}, ":prefix": {"S": prefix}},
            ConsistentRead=True,
        )
        for page in pages:
            yield from page["Items"]


def header(pipeline: Pipeline) -> Item:
    """A pipeline's header as an item."""
    return _item(pipeline.key, "pipeline", pipeline) | {
        "listed": {"S": pipeline.owner},
        "created_at": {"S": pipeline.position},
        "status": {"S": pipeline.status},
        "run": {"N": str(pipeline.run)},
        "ttl": {"N": str(int((pipeline.expires_at + RETENTION).timestamp()))},
    }


def read_change(image: Mapping[str, Any]) -> tuple[PipelineKey, Pipeline | StepRecord | None]:
    """What an image of the table's stream holds: a pipeline's key, and its header or step (else None)."""
    owner, _, id_ = image["pk"]["S"].partition("/")
    kind = image["sk"]["S"].partition("#")[0]
    key = PipelineKey(owner, id_)
    if kind == "pipeline":
        return key, _read(Pipeline, image)
    return key, _read(StepRecord, image) if kind == "step" else None


def _place(step: str, index: int) -> str:
    return f"task#{step}#{index:05}"


def _item(key: PipelineKey, sort: str, record: Model) -> Item:
    return {**_key(key, sort), "data": {"S": record.model_dump_json()}}


def _key(key: PipelineKey, sort: str) -> Item:
    return {"pk": {"S": str(key)}, "sk": {"S": sort}}


def _read(model: type[M], item: Mapping[str, Any]) -> M:
    return model.model_validate(json.loads(item["data"]["S"]))


def _loser(error: ClientError) -> Pipeline | None:
    """The header that a failed condition found in its way; any other error goes on."""
    if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
        raise error
    item: Any = error.response.get("Item")
    return _read(Pipeline, item) if item else None
