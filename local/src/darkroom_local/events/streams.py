"""A table's stream as an event source: batches in order, retried until they pass or are given up.

What AWS does: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html and
https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html.
"""

import asyncio
import base64
import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from darkroom_local.events.batches import Outcome, deliver
from darkroom_local.events.discards import RECORD_AGE_EXCEEDED, RETRIES_EXHAUSTED, Discard
from darkroom_local.events.patterns import Filters, Record
from darkroom_local.events.queues import Call
from darkroom_local.functions.destinations import Destinations
from darkroom_local.functions.invocations import Invocation, Invoke, InvokeError, Log
from darkroom_local.resources import EventSource

PAUSE = 0.02  # seconds between two looks; the emulator answers as soon as a record comes
SHORTEST_RETRY, LONGEST_RETRY = 0.1, 5.0  # seconds between two attempts


@dataclass(frozen=True)
class Segment:
    """Records that are delivered together, the retries they have used and the calls that were made for them."""

    records: tuple[Record, ...]
    retries: int = 0
    calls: int = 0
    last: Invocation | None = None


class StreamSource:
    """Follows one stream and invokes its function, shard by shard, each in order.

    What was read but not finished is read again after a restart of `run`. `call` runs the methods of `client` (a
    boto3 `dynamodbstreams` client); records that are given up are reported to `destinations`.
    """

    def __init__(  # noqa: PLR0913 - plain values, named where they are given
        self,
        source: EventSource,
        *,
        client: Any,  # noqa: ANN401 - boto3 clients have no type at run time
        call: Call,
        invoke: Invoke,
        destinations: Destinations,
        log: Log,
    ) -> None:
        self.name = f"{source.source_arn.split('/')[1]}-to-{source.function_name}"
        self._source = source
        self._client = client
        self._call = call
        self._invoke = invoke
        self._destinations = destinations
        self._log = log
        self._filters = Filters(source.filters)
        self._first: dict[str, str] = {}  # shard to the iterator it was opened with
        self._done: dict[str, str] = {}  # shard to the last sequence number that is finished

    async def open(self) -> None:
        """Fix where to start in each shard, so that no later record is missed; raises `ClientError`."""
        arn = self._source.source_arn
        stream = await self._call(self._client.describe_stream, StreamArn=arn)
        for shard in stream["StreamDescription"]["Shards"]:
            shard_id = shard["ShardId"]
            self._first[shard_id] = await self._iterator(shard_id, ShardIteratorType=self._source.starting_position)

    async def run(self) -> None:
        """Follow every shard until it is closed."""
        async with asyncio.TaskGroup() as shards:
            for shard_id in self._first:
                shards.create_task(self._follow(shard_id), name=f"{self.name}-{shard_id}")

    async def _iterator(self, shard_id: str, **position: str) -> str:
        answer = await self._call(
            self._client.get_shard_iterator, StreamArn=self._source.source_arn, ShardId=shard_id, **position
        )
        return str(answer["ShardIterator"])

    async def _follow(self, shard_id: str) -> None:
        iterator: str | None = self._first[shard_id]
        if shard_id in self._done:
            iterator = await self._iterator(
                shard_id, ShardIteratorType="AFTER_SEQUENCE_NUMBER", SequenceNumber=self._done[shard_id]
            )
        while iterator is not None:
            records, iterator = await self._collect(iterator)
            if records:
                await self._process(shard_id, records)
                self._done[shard_id] = sequence_number(records[-1])

    async def _collect(self, iterator: str) -> tuple[list[Record], str | None]:
        """A batch, full or what came until its window closed, and where to read on (None: the shard is closed)."""
        records: list[Record] = []
        closes = 0.0
        following: str | None = iterator
        while following is not None:
            page = await self._call(
                self._client.get_records,
                ShardIterator=following,
                Limit=self._source.batch_size - len(records),
            )
            following = page.get("NextShardIterator")
            if page["Records"] and not records:
                closes = time.monotonic() + self._source.window_seconds
            records += [stream_record(record, self._source.source_arn) for record in page["Records"]]
            left = closes - time.monotonic()
            if len(records) >= self._source.batch_size or (records and left <= 0):
                break
            await asyncio.sleep(min(PAUSE, left) if records else PAUSE)
        return records, following

    async def _process(self, shard_id: str, records: list[Record]) -> None:
        """Bring every record of a batch to its end: taken, filtered out, or given up."""
        wanted = tuple(record for record in records if is_change(record) and self._filters.accept(record))
        waiting = deque([Segment(wanted)] if wanted else [])
        while waiting:
            segment = await self._without_expired(shard_id, waiting.popleft())
            if segment.records:
                waiting.extendleft(reversed(await self._attempt(shard_id, segment)))

    async def _without_expired(self, shard_id: str, segment: Segment) -> Segment:
        oldest = self._source.maximum_record_age
        if oldest is None:
            return segment
        earliest = time.time() - oldest
        expired = tuple(record for record in segment.records if created(record) < earliest)
        if expired:
            await self._give_up(shard_id, replace(segment, records=expired), RECORD_AGE_EXCEEDED)
        return replace(segment, records=segment.records[len(expired) :])

    async def _attempt(self, shard_id: str, segment: Segment) -> list[Segment]:
        """Deliver a segment once; gives the segments that are left to deliver, in order."""
        try:
            outcome = await deliver(
                segment.records,
                self._source.function_name,
                invoke=self._invoke,
                identify=sequence_number,
                partial_failures=self._source.partial_failures,
            )
        except InvokeError as error:
            # The function saw nothing, so this is no attempt of its.
            self._log(self.name, f"{len(segment.records)} records wait: {error}")
            await asyncio.sleep(SHORTEST_RETRY)
            return [segment]
        if not outcome.failed:
            return []
        return await self._after_failure(shard_id, segment, outcome)

    async def _after_failure(self, shard_id: str, segment: Segment, outcome: Outcome) -> list[Segment]:
        segment = replace(segment, calls=segment.calls + 1, last=outcome.invocation)
        numbers = [sequence_number(record) for record in segment.records]
        first = numbers.index(outcome.failed[0])
        if first > 0:
            # Progress: what is left is a batch of its own.
            return [Segment(segment.records[first:])]
        if self._source.bisect_on_error and len(numbers) > 1:
            # Splitting uses no retry.
            middle = len(numbers) // 2
            return [replace(segment, records=half) for half in (segment.records[:middle], segment.records[middle:])]
        allowed = self._source.maximum_retries
        if allowed is not None and segment.retries >= allowed:
            await self._give_up(shard_id, segment, RETRIES_EXHAUSTED)
            return []
        await asyncio.sleep(min(SHORTEST_RETRY * 2**segment.retries, LONGEST_RETRY))
        return [replace(segment, retries=segment.retries + 1)]

    async def _give_up(self, shard_id: str, segment: Segment, condition: str) -> None:
        self._log(self.name, f"gave up {len(segment.records)} records: {condition}")
        if self._source.on_failure_arn is None:
            return
        discard = Discard(
            source=self._source,
            shard_id=shard_id,
            condition=condition,
            calls=segment.calls,
            last=segment.last,
            sequence_numbers=tuple(sequence_number(record) for record in segment.records),
            created=tuple(created(record) for record in segment.records),
        )
        try:
            await self._destinations.send(self._source.on_failure_arn, json.dumps(discard.message()))
        except (BotoCoreError, ClientError) as error:
            self._log(self.name, f"what was given up could not be reported: {error}")


def stream_record(record: Mapping[str, Any], stream_arn: str) -> Record:
    """A record as a function gets it, https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html."""
    plain: Record = json.loads(json.dumps(record, default=_encode))
    return {**plain, "awsRegion": stream_arn.split(":")[3], "eventSourceARN": stream_arn}


def sequence_number(record: Record) -> str:
    """Where a record stands in its shard, which also identifies it."""
    return str(record["dynamodb"]["SequenceNumber"])


def created(record: Record) -> float:
    """When the change was made, in seconds since 1970."""
    return float(record["dynamodb"]["ApproximateCreationDateTime"])


def is_change(record: Record) -> bool:
    """Whether anything changed: the emulator, unlike AWS, reports a write that left an item as it was."""
    images = record["dynamodb"]
    return (
        record["eventName"] != "MODIFY" or "OldImage" not in images or images["OldImage"] != images.get("NewImage")
    )


def _encode(value: object) -> object:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"not a DynamoDB value: {value!r}")
