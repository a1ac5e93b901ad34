"""The runtimes' queues in SQS."""

import time
from typing import TYPE_CHECKING, Any

from darkroom.runtimes import QueueDepth, Runtime

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_AGE = 5.0
"""How long a count may be used again, in seconds."""

_WAITING = "ApproximateNumberOfMessages"
_IN_FLIGHT = "ApproximateNumberOfMessagesNotVisible"
_BATCH = 10


class SqsRuntimeQueues:
    """A `RuntimeQueues` of the queues that the runtimes' stacks register.

    Dead letters are put back by receiving and sending rather than by `StartMessageMoveTask`: that is done within
    the request, tells how many there were, and works alike where SQS is emulated.
    """

    def __init__(self, client: "SQSClient") -> None:
        self._client = client
        self._depths: dict[str, tuple[float, QueueDepth]] = {}

    def depth(self, runtime: Runtime) -> QueueDepth:
        """See `RuntimeQueues.depth`."""
        read_at, depth = self._depths.get(runtime.name, (float("-inf"), None))
        if depth is None or time.monotonic() - read_at > MAX_AGE:
            backlog, in_flight = self._count(runtime.queue_url)
            depth = QueueDepth(
                backlog=backlog, in_flight=in_flight, dead_letters=self._count(runtime.dead_letter_queue_url)[0]
            )
            self._depths[runtime.name] = (time.monotonic(), depth)
        return depth

    def redrive(self, runtime: Runtime, seconds: float) -> int:
        """See `RuntimeQueues.redrive`. What is cut off between sending and deleting is sent again: harmless."""
        until, moved = time.monotonic() + seconds, 0
        while time.monotonic() < until and (messages := self._receive(str(runtime.dead_letter_queue_url))):
            for message in messages:
                self._move(message, runtime)
                moved += 1
        self._depths.pop(runtime.name, None)
        return moved

    def _count(self, url: str | None) -> tuple[int, int]:
        """How many messages wait and are being worked at."""
        if url is None:
            return 0, 0
        names: Any = [_WAITING, _IN_FLIGHT]
        counts: Any = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(counts[_WAITING]), int(counts[_IN_FLIGHT])

    def _receive(self, url: str) -> list[Any]:
        answer = self._client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=_BATCH,
            WaitTimeSeconds=1,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["MessageGroupId"],
        )
        return list(answer.get("Messages", []))

    def _move(self, message: Any, runtime: Runtime) -> None:  # noqa: ANN401  boto3's own dictionary
        group = message.get("Attributes", {}).get("MessageGroupId")
        fair: dict[str, Any] = {"MessageGroupId": group} if group else {}
        attributes = message.get("MessageAttributes", {})
        self._client.send_message(
            QueueUrl=str(runtime.queue_url), MessageBody=message["Body"], MessageAttributes=attributes, **fair
        )
        url, receipt = str(runtime.dead_letter_queue_url), message["ReceiptHandle"]
        self._client.delete_message(QueueUrl=url, ReceiptHandle=receipt)
