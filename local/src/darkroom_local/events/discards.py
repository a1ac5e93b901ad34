"""What an event source reports of records of a stream that it gave up.

The message: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from darkroom_local.functions.invocations import Invocation
from darkroom_local.resources import EventSource

RETRIES_EXHAUSTED = "RetryAttemptsExhausted"
RECORD_AGE_EXCEEDED = "RecordAgeExceeded"


@dataclass(frozen=True)
class Discard:
    """Records given up together.

    `calls` is how often the function was invoked with them and `last` how that ended (None: never invoked);
    `created` are seconds since 1970.
    """

    source: EventSource
    shard_id: str
    condition: str
    calls: int
    last: Invocation | None
    sequence_numbers: tuple[str, ...]
    created: tuple[float, ...]

    def message(self) -> dict[str, Any]:
        """The message in AWS's form."""
        _, partition, _, region, account, *_ = self.source.source_arn.split(":")
        message: dict[str, Any] = {
            "requestContext": {
                "requestId": self.last.request_id if self.last else str(uuid.uuid4()),
                "functionArn": f"arn:{partition}:lambda:{region}:{account}:function:{self.source.function_name}",
                "condition": self.condition,
                "approximateInvokeCount": self.calls,
            },
            "version": "1.0",
            "timestamp": _instant(datetime.now(UTC).timestamp(), "milliseconds"),
            "DDBStreamBatchInfo": {
                "shardId": self.shard_id,
                "startSequenceNumber": self.sequence_numbers[0],
                "endSequenceNumber": self.sequence_numbers[-1],
                "approximateArrivalOfFirstRecord": _instant(self.created[0]),
                "approximateArrivalOfLastRecord": _instant(self.created[-1]),
                "batchSize": len(self.sequence_numbers),
                "streamArn": self.source.source_arn,
            },
        }
        if self.last is not None:
            response = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": self.last.function_error}
            message["responseContext"] = {key: value for key, value in response.items() if value is not None}
        return message


def _instant(seconds: float, precision: str = "seconds") -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
