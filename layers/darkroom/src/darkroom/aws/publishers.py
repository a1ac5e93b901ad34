"""Where messages and events go: SNS topics, the event bus, waiting state machines, the webhooks' queue."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from darkroom.announcements import Announcements
from darkroom.aws.clients import client
from darkroom.callbacks import Callback
from darkroom.errors import DarkroomError
from darkroom.events import SOURCE, BusEvent, TaskEvent
from darkroom.messages import TaskMessage, routing_attributes
from darkroom.notices import Notice
from darkroom.ports import Once
from darkroom.settings import RouterSettings
from darkroom.tasks import Task, TaskStatus

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

_GONE = frozenset({"TaskTimedOut", "InvalidToken", "TaskDoesNotExist"})
_MAX_CAUSE = 32_768
_MAX_DELAY = 900  # seconds that SQS keeps a message back


class SnsTaskQueue:
    """A `TaskQueue`: the topic whose subscriptions are the runtimes' queues.

    The message group is the owner, so that SQS's fair queues keep one owner's burst from starving the others.
    """

    def __init__(self, client: "SNSClient", topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def dispatch(self, task: Task) -> None:
        """See `TaskQueue.dispatch`."""
        self._client.publish(
            TopicArn=self._topic_arn,
            Message=TaskMessage.of(task).to_json(),
            MessageAttributes=_attributes(routing_attributes(task)),
            MessageGroupId=task.owner,
        )


class SnsCompletions:
    """A `Completions`: the topic that the guide tells users to subscribe to."""

    def __init__(self, client: "SNSClient", topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def publish(self, callback: Callback, attributes: Mapping[str, str]) -> None:
        """See `Completions.publish`."""
        self._client.publish(
            TopicArn=self._topic_arn, Message=callback.to_json(), MessageAttributes=_attributes(attributes)
        )


class EventBridgeBus:
    """An `EventBus` on EventBridge."""

    def __init__(self, client: "EventBridgeClient", bus: str) -> None:
        self._client = client
        self._bus = bus

    def put(self, event: BusEvent) -> None:
        """See `EventBus.put`."""
        answer = self._client.put_events(
            Entries=[
                {
                    "EventBusName": self._bus,
                    "Source": SOURCE,
                    "DetailType": event.detail_type,
                    "Detail": event.to_json(),
                }
            ]
        )
        if answer.get("FailedEntryCount"):  # EventBridge answers 200 even so
            raise DarkroomError(f"the bus {self._bus} refused an event: {answer['Entries'][0].get('ErrorMessage')}")


class StepFunctionsWorkflows:
    """A `Workflows`: executions that gave a task their token."""

    def __init__(self, client: "SFNClient") -> None:
        self._client = client

    def answer(self, token: str, task: Task) -> None:
        """See `Workflows.answer`."""
        try:
            if task.status is TaskStatus.SUCCEEDED:
                self._client.send_task_success(taskToken=token, output=TaskEvent.of(task).to_json())
            else:
                cause = TaskEvent.of(task).to_json()[:_MAX_CAUSE]
                self._client.send_task_failure(taskToken=token, error=f"Task{task.status.title()}", cause=cause)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _GONE:
                raise


class SqsWebhookQueue:
    """A `WebhookQueue`: messages for later are kept back, not received and hidden.

    SQS hides no more than 120,000 messages of a queue at once, and receivers that are down for hours leave more. It
    keeps a message back for 15 minutes at most; what waits longer is sent on by its courier.

    The message group is the owner, so that one owner's slow receiver does not hold up the others.
    """

    def __init__(self, client: "SQSClient", queue_url: str, failures_url: str = "") -> None:
        self._client = client
        self._queue_url = queue_url
        self._failures_url = failures_url

    def send(self, notice: Notice, wait: float = 0) -> None:
        """See `WebhookQueue.send`."""
        self._client.send_message(
            QueueUrl=self._queue_url,
            MessageBody=notice.to_json(),
            MessageGroupId=notice.owner,
            DelaySeconds=min(math.ceil(wait), _MAX_DELAY),
        )

    def bury(self, notice: Notice) -> None:
        """See `WebhookQueue.bury`."""
        self._client.send_message(
            QueueUrl=self._failures_url, MessageBody=notice.to_json(), MessageGroupId=notice.owner
        )


def announcements_on_aws(settings: RouterSettings, once: Once) -> Announcements:
    """The use case with everything that is told on AWS."""
    return Announcements(
        queue=SnsTaskQueue(client("sns"), settings.tasks_topic_arn),
        bus=EventBridgeBus(client("events"), settings.event_bus),
        completions=SnsCompletions(client("sns"), settings.completions_topic_arn),
        workflows=StepFunctionsWorkflows(client("stepfunctions")),
        once=once,
        webhooks=SqsWebhookQueue(client("sqs"), settings.webhooks_queue_url),
    )


def _attributes(values: Mapping[str, str]) -> "dict[str, MessageAttributeValueTypeDef]":
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}
