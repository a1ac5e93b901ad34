"""A queue as an event source: batches of messages, deleted when the function took them.

What AWS does: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html.
"""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from darkroom_local.events.batches import deliver
from darkroom_local.events.patterns import Filters, Record
from darkroom_local.functions.invocations import Invoke, InvokeError, Log
from darkroom_local.resources import EventSource

Message = dict[str, Any]

Call = Callable[..., Awaitable[Any]]
"""Calls a function of a boto3 client, with keyword arguments, outside the event loop."""

PAGE = 10  # messages that SQS takes or gives in one call
WAIT_SECONDS = 1  # of long polling; the emulator answers as soon as a message comes
CONCURRENCY = 5  # what AWS starts with
WINDOW_POLL_SECONDS = 0.1
SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 5.0


class QueueSource:
    """Polls one queue and invokes its function.

    A message leaves the queue when its function took it or no filter lets it pass; what failed stays, and comes
    back when the queue's visibility timeout is over. `call` runs the methods of `client` (a boto3 `sqs` client).
    """

    def __init__(self, source: EventSource, *, client: Any, call: Call, invoke: Invoke, log: Log) -> None:  # noqa: ANN401 - boto3 clients have no type at run time
        self.name = f"{source.source_arn.rsplit(':', 1)[-1]}-to-{source.function_name}"
        self._source = source
        self._client = client
        self._call = call
        self._invoke = invoke
        self._log = log
        self._filters = Filters(source.filters)
        self._url = ""
        self._failures = 0

    async def open(self) -> None:
        """Find the queue; raises `ClientError` if there is none."""
        name = self._source.source_arn.rsplit(":", 1)[-1]
        self._url = (await self._call(self._client.get_queue_url, QueueName=name))["QueueUrl"]

    async def run(self) -> None:
        """Poll for ever; what fails in polling is raised, what fails in a delivery is not."""
        slots = asyncio.Semaphore(self._source.maximum_concurrency or CONCURRENCY)
        async with asyncio.TaskGroup() as deliveries:
            while True:
                # First a slot, then messages: they must not grow old waiting for one.
                await slots.acquire()
                messages = await self._collect()
                if messages:
                    delivery = deliveries.create_task(self._deliver(messages), name=f"deliver-{self.name}")
                    delivery.add_done_callback(lambda _: slots.release())
                else:
                    slots.release()

    async def _collect(self) -> list[Message]:
        """A batch: full, or what came until its window closed; empty if nothing came for a while."""
        messages: list[Message] = []
        closes = 0.0
        while len(messages) < self._source.batch_size:
            left = closes - time.monotonic()
            if messages and left <= 0:
                break
            wait = WAIT_SECONDS if not messages or left >= WAIT_SECONDS else 0
            page = await self._receive(self._source.batch_size - len(messages), wait)
            if not messages:
                if not page:
                    break
                closes = time.monotonic() + self._source.window_seconds
            elif not page and wait == 0:
                await asyncio.sleep(min(WINDOW_POLL_SECONDS, left))
            messages += page
        return messages

    async def _receive(self, count: int, wait: int) -> list[Message]:
        answer = await self._call(
            self._client.receive_message,
            QueueUrl=self._url,
            MaxNumberOfMessages=min(count, PAGE),
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages: list[Message] = answer.get("Messages", [])
        return messages

    async def _deliver(self, messages: list[Message]) -> None:
        try:
            failed = await self._fail_some(messages)
        except (InvokeError, BotoCoreError, ClientError) as error:
            self._log(self.name, f"a batch of {len(messages)} goes back to the queue: {error}")
            failed = len(messages)
        self._failures = self._failures + 1 if failed == len(messages) else 0
        if self._failures:
            # AWS polls less when a function only fails.
            await asyncio.sleep(min(SHORTEST_PAUSE * 2**self._failures, LONGEST_PAUSE))

    async def _fail_some(self, messages: list[Message]) -> int:
        """Invoke the function and delete what it took; gives the number of messages that failed."""
        records = {message["MessageId"]: queue_record(message, self._source.source_arn) for message in messages}
        wanted = [record for record in records.values() if self._filters.accept(record)]
        failed: set[str] = set()
        if wanted:
            outcome = await deliver(
                wanted,
                self._source.function_name,
                invoke=self._invoke,
                identify=lambda record: str(record["messageId"]),
                partial_failures=self._source.partial_failures,
            )
            failed = set(outcome.failed)
        await self._delete([message for message in messages if message["MessageId"] not in failed])
        return len(failed)

    async def _delete(self, messages: list[Message]) -> None:
        for start in range(0, len(messages), PAGE):
            entries = [
                {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                for index, message in enumerate(messages[start : start + PAGE])
            ]
            answer = await self._call(self._client.delete_message_batch, QueueUrl=self._url, Entries=entries)
            for failure in answer.get("Failed", []):
                self._log(self.name, f"a message could not be deleted: {failure.get('Message')}")


def queue_record(message: Message, queue_arn: str) -> Record:
    """A message as a function gets it, https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event."""
    record: Record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {
            name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }
    if "MD5OfMessageAttributes" in message:
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    attribute: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        attribute["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        attribute["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return attribute
