"""A tap on the event bus: a rule and a queue of one's own, for as long as one listens."""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from darkroom.events import SOURCE
from darkroom.models import JsonObject
from darkroom_cli.access import AwsAccess
from darkroom_cli.errors import AwsError, ConfigurationError
from darkroom_cli.stacks import explained_aws, read_outputs

WAIT = 5
"""Seconds for which one look at the queue waits for events."""

_KEPT = "300"  # seconds; a queue whose owner was killed does not fill up


@dataclass(frozen=True)
class Wanted:
    """Which events to hear of; what is empty does not restrict."""

    types: Sequence[str] = ()
    details: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def pattern(self) -> JsonObject:
        """The rule's event pattern."""
        pattern: JsonObject = {"source": [SOURCE]}
        if self.types:
            pattern["detail-type"] = list(self.types)
        details = {name: list(values) for name, values in self.details.items() if values}
        return pattern | ({"detail": details} if details else {})


class EventTap:
    """Hears events while entered; the rule and the queue are gone afterwards.

    Takes `cloudformation:DescribeStacks`, `events:PutRule`, `PutTargets`, `RemoveTargets`, `DeleteRule`, and
    `sqs:CreateQueue`, `GetQueueAttributes`, `SetQueueAttributes`, `ReceiveMessage`, `DeleteMessage`, `DeleteQueue`.
    """

    def __init__(self, aws: AwsAccess, wanted: Wanted) -> None:
        self._aws = aws
        self._wanted = wanted
        self._name = f"darkroom-tail-{secrets.token_hex(4)}"
        self._undo: list[tuple[Any, str, JsonObject]] = []

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def take(self, wait: int = WAIT) -> Iterator[JsonObject]:
        """The events that have come; waits up to `wait` seconds for a first one.

        Raises:
            AwsError: the queue cannot be read.
        """
        with explained_aws():
            answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
            for message in answer.get("Messages", []):
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
                yield json.loads(message["Body"])

    def _open(self) -> None:
        bus = read_outputs(self._aws).get("EventBusName")
        if bus is None:
            raise ConfigurationError(f"The stack {self._aws.stack!r} has no bus of Darkroom's.")
        self._sqs, events = self._aws.client("sqs"), self._aws.client("events")
        rule = {"Rule": self._name, "EventBusName": bus}
        with explained_aws():
            self._queue = self._sqs.create_queue(
                QueueName=self._name, Attributes={"MessageRetentionPeriod": _KEPT, "SqsManagedSseEnabled": "true"}
            )["QueueUrl"]
            self._undo.append((self._sqs, "delete_queue", {"QueueUrl": self._queue}))
            arn = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"][
                "QueueArn"
            ]
            rule_arn = events.put_rule(
                Name=self._name, EventBusName=bus, EventPattern=json.dumps(self._wanted.pattern())
            )["RuleArn"]
            self._undo.append((events, "delete_rule", {"Name": self._name, "EventBusName": bus}))
            self._sqs.set_queue_attributes(QueueUrl=self._queue, Attributes={"Policy": _policy(arn, rule_arn)})
            failed = events.put_targets(**rule, Targets=[{"Id": "tail", "Arn": arn}])["FailedEntries"]
            if failed:
                raise AwsError(f"AWS refused the rule's target: {failed[0].get('ErrorMessage')}")
            self._undo.append((events, "remove_targets", {**rule, "Ids": ["tail"]}))

    def _close(self) -> None:
        """Undo all, also where a part of it fails; the first failure is told."""
        errors: list[AwsError] = []
        while self._undo:
            client, action, arguments = self._undo.pop()
            try:
                with explained_aws():
                    getattr(client, action)(**arguments)
            except AwsError as error:
                errors.append(error)
        if errors:
            raise errors[0]


def _policy(queue_arn: str, rule_arn: str) -> str:
    """The queue takes messages of this rule, and of nobody else."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
