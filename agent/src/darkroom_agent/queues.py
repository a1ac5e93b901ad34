"""The two queues: where tasks come from, and where results go."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from darkroom.messages import TaskResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageSystemAttributeValueTypeDef


@dataclass(frozen=True)
class Delivery:
    """A message as it was received this time.

    `receipt` is good for this delivery only. `receives` counts deliveries, this one included. `queue` is the URL of
    the queue that it came from. `trace` is the X-Ray header that it was sent with. `is_copy` tells that another
    queue holds the same message, too. `received` is on the monotonic clock.
    """

    id: str
    body: str
    receipt: str
    receives: int
    queue: str = ""
    trace: str | None = None
    is_copy: bool = False
    received: float = field(default_factory=time.monotonic)


class Inbox(Protocol):
    """Where messages of tasks wait. Every call blocks."""

    def receive(self, wait: int, hidden: int) -> Delivery | None:
        """Take a message, waiting up to `wait` seconds for one. Others do not see it for `hidden` seconds."""

    def hide(self, delivery: Delivery, seconds: int) -> None:
        """Let others see the message that many seconds from now."""

    def delete(self, delivery: Delivery) -> None:
        """Remove the message for good."""


class ResultQueue(Protocol):
    """Where results go."""

    def send(self, result: TaskResult, trace: str | None = None) -> None:
        """Report what an attempt came to; `trace` is the X-Ray header of the message that it began with."""


class SqsInbox:
    """An `Inbox` on SQS.

    A task of high priority comes twice: `priority_url` is where its copy overtakes what waits (decision 22). It is
    looked into first, without waiting: whoever has nothing to do gets such a task from the other queue as soon.
    """

    def __init__(self, client: "SQSClient", url: str, priority_url: str | None = None) -> None:
        self._client = client
        self._url = url
        self._priority_url = priority_url

    def receive(self, wait: int, hidden: int) -> Delivery | None:
        """See `Inbox.receive`."""
        found = self._receive(self._priority_url, 0, hidden) if self._priority_url else None
        return found or self._receive(self._url, wait, hidden)

    def _receive(self, url: str, wait: int, hidden: int) -> Delivery | None:
        answer = self._client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=wait,
            VisibilityTimeout=hidden,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "AWSTraceHeader"],
        )
        for message in answer.get("Messages", []):
            attributes = message.get("Attributes", {})
            return Delivery(
                message["MessageId"],
                message["Body"],
                message["ReceiptHandle"],
                int(attributes.get("ApproximateReceiveCount", "1")),
                url,
                attributes.get("AWSTraceHeader"),
                is_copy=url == self._priority_url,
            )
        return None

    def hide(self, delivery: Delivery, seconds: int) -> None:
        """See `Inbox.hide`."""
        self._client.change_message_visibility(
            QueueUrl=delivery.queue, ReceiptHandle=delivery.receipt, VisibilityTimeout=seconds
        )

    def delete(self, delivery: Delivery) -> None:
        """See `Inbox.delete`."""
        self._client.delete_message(QueueUrl=delivery.queue, ReceiptHandle=delivery.receipt)


class SqsResultQueue:
    """A `ResultQueue` on SQS."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def send(self, result: TaskResult, trace: str | None = None) -> None:
        """See `ResultQueue.send`."""
        header: Mapping[Literal["AWSTraceHeader"], MessageSystemAttributeValueTypeDef] = (
            {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}} if trace else {}
        )
        self._client.send_message(QueueUrl=self._url, MessageBody=result.to_json(), MessageSystemAttributes=header)
