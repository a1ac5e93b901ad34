"""What of a deployment there is, as AWS knows it."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from botocore.exceptions import ClientError

from darkroom.models import JsonObject
from darkroom_cli.deploy.names import Names

_QUEUES = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


@dataclass(frozen=True)
class StackState:
    """One stack. `status` is CloudFormation's, or `MISSING`."""

    name: str
    status: str
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is there, whole and at rest."""
        return self.status.endswith("_COMPLETE") and "ROLLBACK" not in self.status and "DELETE" not in self.status


@dataclass(frozen=True)
class RuntimeState:
    """One deployed runtime. The numbers are messages; None where the queue cannot be asked."""

    name: str
    namespace: str
    type: str
    stack: StackState
    waiting: int | None = None
    at_work: int | None = None


class Inventory:
    """Asks AWS for a deployment's parts. `client` makes boto3 clients."""

    def __init__(self, names: Names, client: Callable[[str], Any]) -> None:
        self._names = names
        self._client = client

    def stacks(self) -> list[StackState]:
        """The stacks that every deployment has."""
        names = self._names
        return [self._stack(name) for name in (names.cluster_stack, names.operations_stack, names.control_plane)]

    def runtimes(self) -> Iterator[RuntimeState]:
        """The runtimes that are deployed, those among them that config.yaml no longer names."""
        pages = self._client("cloudformation").get_paginator("describe_stacks").paginate()
        for stack in (stack for page in pages for stack in page["Stacks"]):
            told = {it["ParameterKey"]: it["ParameterValue"] for it in stack.get("Parameters", [])}
            if told.get("ControlPlane") != self._names.control_plane or "RuntimeName" not in told:
                continue
            if stack["StackName"] != self._names.runtime_stack(told["RuntimeName"]):
                continue  # nested in the control plane
            outputs = {it["OutputKey"]: it["OutputValue"] for it in stack.get("Outputs", [])}
            waiting, at_work = self._count(outputs.get("QueueUrl"))
            yield RuntimeState(
                told["RuntimeName"],
                told.get("Namespace", "default"),
                told.get("RuntimeType", ""),
                StackState(stack["StackName"], stack["StackStatus"], stack.get("StackStatusReason", "")),
                waiting,
                at_work,
            )

    def as_json(self) -> JsonObject:
        """All of it."""
        return {
            "stacks": [asdict(stack) for stack in self.stacks()],
            "runtimes": [asdict(runtime) for runtime in self.runtimes()],
        }

    def _stack(self, name: str) -> StackState:
        try:
            (stack,) = self._client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" not in error.response["Error"].get("Message", ""):
                raise
            return StackState(name, "MISSING")
        return StackState(name, stack["StackStatus"], stack.get("StackStatusReason", ""))

    def _count(self, url: str | None) -> tuple[int | None, int | None]:
        if url is None:
            return None, None
        try:
            told = self._client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(_QUEUES))[
                "Attributes"
            ]
        except ClientError:
            return None, None
        return int(told[_QUEUES[0]]), int(told[_QUEUES[1]])
