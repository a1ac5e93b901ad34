"""The two queues: where tasks come from, and where results go."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from darkroom.messages import TaskResult

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True)
class Delivery:
    """A message as it was received this time.

    `receipt` is good for this delivery only. `receives` counts deliveries, this one included.
    """

    id: str
    body: str
    receipt: str
    receives: int


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

    def send(self, result: TaskResult) -> None:
        """Report what an attempt came to."""


class SqsInbox:
    """An `Inbox` on SQS."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def receive(self, wait: int, hidden: int) -> Delivery | None:
        """See `Inbox.receive`."""
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=wait,
            VisibilityTimeout=hidden,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        for message in answer.get("Messages", []):
            receives = int(message.get("Attributes", {}).get("ApproximateReceiveCount", "1"))
            return Delivery(message["MessageId"], message["Body"], message["ReceiptHandle"], receives)
        return None

    def hide(self, delivery: Delivery, seconds: int) -> None:
        """See `Inbox.hide`."""
        self._client.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=delivery.receipt, VisibilityTimeout=seconds
        )

    def delete(self, delivery: Delivery) -> None:
        """See `Inbox.delete`."""
        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=delivery.receipt)


class SqsResultQueue:
    """A `ResultQueue` on SQS."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def send(self, result: TaskResult) -> None:
        """See `ResultQueue.send`."""
        self._client.send_message(QueueUrl=self._url, MessageBody=result.to_json())
