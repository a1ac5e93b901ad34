"""Pages of an owner's tasks: one query of the index `by_owner`, one read of the tasks themselves.

The index holds what is filtered by, not contents. What it says may be a moment old; the tasks that are read decide.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from darkroom.aws.task_items import Item, from_item, to_key
from darkroom.listings import Page, Position, TaskFilter
from darkroom.models import to_text
from darkroom.tasks import Task, TaskKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

INDEX = "by_owner"
FIELDS = tuple(name for name in Task.model_fields if name != "content")

_LAST = "~"  # sorts after every time
_FILTERED = 1000
"""How many entries of the index one query looks through for those that fit; about 30 read units."""


class TaskPages:
    """Reads pages from a table and its index."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def page(self, owner: str, which: TaskFilter, limit: int, after: Position | None) -> Page:
        """See `TaskStore.page`; `limit` is at most 100, as many as DynamoDB reads at once."""
        found: list[Task] = []
        entries = self._entries(owner, which, limit, after)
        while len(found) < limit and (keys := list(islice(entries, limit - len(found)))):
            found += [task for task in self._read(keys) if which.fits(task)]
        return Page(tuple(found), more=len(found) == limit and next(entries, None) is not None)

    def _entries(self, owner: str, which: TaskFilter, limit: int, after: Position | None) -> Iterator[TaskKey]:
        """The keys of what the index says fits, newest first."""
        query = _query(owner, which, after)
        # One more than the page shows that there are more; a page begins with the last task of the one before.
        query["Limit"] = _FILTERED if which.selective else limit + 2
        while True:
            answer = self._client.query(TableName=self._table, IndexName=INDEX, **query)
            for item in answer["Items"]:
                if after is None or item["listed"]["S"] != str(after):
                    yield TaskKey(owner, item["id"]["S"])
            if "LastEvaluatedKey" not in answer:
                return
            query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _read(self, keys: Sequence[TaskKey]) -> list[Task]:
        names = {f"#{name}": name for name in FIELDS}
        wanted: Any = {"Keys": [to_key(key) for key in keys], "ExpressionAttributeNames": names}
        wanted["ProjectionExpression"] = ", ".join(names)
        request: Any = {self._table: wanted}
        tasks: dict[TaskKey, Task] = {}
        while request:
            answer = self._client.batch_get_item(RequestItems=request)
            for item in answer["Responses"].get(self._table, []):
                task = from_item(item)
                tasks[task.key] = task
            request = answer.get("UnprocessedKeys")  # beyond 16 MB, contents counted
        return [tasks[key] for key in keys if key in tasks]


def _query(owner: str, which: TaskFilter, after: Position | None) -> dict[str, Any]:
    newest = str(after) if after is not None else _LAST
    if which.until is not None:
        newest = min(newest, to_text(which.until))  # exclusive: an entry's text goes on after its time
    oldest = to_text(which.since) if which.since is not None else ""
    names = {"#owner": "owner"}
    values: Item = {":owner": {"S": owner}, ":oldest": {"S": min(oldest, newest) or "0"}, ":newest": {"S": newest}}
    query: dict[str, Any] = {
        "KeyConditionExpression": "#owner = :owner AND listed BETWEEN :oldest AND :newest",
        "ScanIndexForward": False,
    }
    conditions = []
    for name, wanted in {"status": which.status, "type": which.type}.items():
        if wanted:
            terms = {f":{name}{n}": {"S": str(value)} for n, value in enumerate(sorted(wanted))}
            conditions.append(f"#{name} IN ({', '.join(terms)})")
            names[f"#{name}"], values = name, values | terms
    for name, value in which.named.items():
        conditions.append(f"#{name} = :{name}")
        names[f"#{name}"], values[f":{name}"] = name, {"S": value}
    if conditions:
        query["FilterExpression"] = " AND ".join(conditions)
    return query | {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
