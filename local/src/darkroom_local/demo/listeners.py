"""Consumers as a user would set them up: a queue behind the completions topic, and one behind a rule on the bus."""

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from darkroom.events import SOURCE, EventType
from darkroom_local.stack import Stack

if TYPE_CHECKING:
    from darkroom.models import JsonObject

_ENDS = [EventType.TASK_SUCCEEDED, EventType.TASK_FAILED, EventType.TASK_CANCELLED, EventType.TASK_EXPIRED]


class Listeners:
    """Collects callback messages and end events by task id."""

    def __init__(self, stack: Stack) -> None:
        self.callbacks: defaultdict[str, list[JsonObject]] = defaultdict(list)
        self.events: defaultdict[str, list[JsonObject]] = defaultdict(list)
        self._sqs = stack.client("sqs")
        self._callbacks_queue = self._sqs.create_queue(QueueName="demo-callbacks")["QueueUrl"]
        self._events_queue = self._sqs.create_queue(QueueName="demo-events")["QueueUrl"]
        stack.client("sns").subscribe(
            TopicArn=stack.outputs["sdNotificationOutputArn"],
            Protocol="sqs",
            Endpoint=self._arn(self._callbacks_queue),
            Attributes={"RawMessageDelivery": "true"},
        )
        events = stack.client("events")
        rule = {"Rule": "demo-events", "EventBusName": stack.outputs["EventBusName"]}
        pattern = {"source": [SOURCE], "detail-type": _ENDS}
        events.put_rule(Name=rule["Rule"], EventBusName=rule["EventBusName"], EventPattern=json.dumps(pattern))
        events.put_targets(**rule, Targets=[{"Id": "queue", "Arn": self._arn(self._events_queue)}])

    def collect(self, missing: str = "", seconds: int = 0) -> None:
        """Take what has arrived since the last time; while a task has not been heard of, wait so long for it."""
        for message in self._take(self._callbacks_queue, 0 if self.callbacks.get(missing) else seconds):
            self.callbacks[message["id"]].append(message)
        for event in self._take(self._events_queue, 0 if self.events.get(missing) else seconds):
            self.events[event["detail"]["id"]].append(event)

    def _arn(self, url: str) -> str:
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return str(answer["Attributes"]["QueueArn"])

    def _take(self, url: str, seconds: int) -> list[Any]:
        answer = self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=seconds)
        messages = answer.get("Messages", [])
        for message in messages:
            self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in messages]
