"""Image caches: snapshots from which new nodes start with the container images (sam/operations.yaml makes them)."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from darkroom.models import JsonObject
from darkroom_cli.access import AwsAccess
from darkroom_cli.errors import AwsError, ConfigurationError
from darkroom_cli.stacks import explained_aws, read_outputs

POLL = 15.0
"""Seconds between two looks at an execution."""

_OUTPUT = "BuildImageCacheArn"


@dataclass(frozen=True)
class CacheRequest:
    """What a cache is to hold. What is None, the stack's parameters say.

    Attributes:
        images: their names, tags included.
        size_gib: of the volume; a node's data volume made of it cannot be smaller.
        subnet: where the instance runs that pulls them.
        architecture: of the images.
    """

    images: Sequence[str]
    size_gib: int | None = None
    subnet: str | None = None
    architecture: Literal["x86_64", "arm64"] | None = None

    @property
    def name(self) -> str:
        """A name for what it asks for, the same for the same: executions, and so snapshots, begin with it."""
        asked = [str(self.size_gib or ""), self.architecture or "", *sorted(self.images)]
        return f"images-{hashlib.sha256(chr(10).join(asked).encode()).hexdigest()[:12]}"

    def as_input(self) -> JsonObject:
        """The state machine's input."""
        given = {
            "images": list(self.images),
            "size_gib": self.size_gib,
            "subnet": self.subnet,
            "architecture": self.architecture,
        }
        return {name: value for name, value in given.items() if value is not None}


class ImageCaches:
    """The state machine of one stack of operations."""

    def __init__(self, aws: AwsAccess) -> None:
        self._aws = aws

    def find(self, request: CacheRequest) -> str | None:
        """The newest snapshot that was made for the same request; None where there is none.

        Raises:
            AwsError: AWS could not be asked, or refused.
        """
        filters = [
            {"Name": "tag:darkroom:execution", "Values": [f"{request.name}-*"]},
            {"Name": "status", "Values": ["completed"]},
        ]
        with explained_aws():
            found = self._aws.client("ec2").describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"]
        newest = max(found, key=lambda snapshot: snapshot["StartTime"], default=None)
        return None if newest is None else str(newest["SnapshotId"])

    def start(self, request: CacheRequest) -> str:
        """Start to make a cache, unless one for the same request is being made; returns the execution's ARN.

        Raises:
            ConfigurationError: there is no such stack, or it has no such state machine.
            AwsError: AWS could not be asked, or refused.
        """
        machine = read_outputs(self._aws).get(_OUTPUT)
        if machine is None:
            raise ConfigurationError(
                f"The stack {self._aws.stack!r} makes no image caches.", hint="Deploy sam/operations.yaml first."
            )
        with explained_aws():
            client = self._aws.client("stepfunctions")
            running = client.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
            execution = next((it for it in running if it["name"].startswith(f"{request.name}-")), None)
            if execution is None:
                execution = client.start_execution(
                    stateMachineArn=machine,
                    name=f"{request.name}-{time.time():.0f}",
                    input=json.dumps(request.as_input()),
                )
        return str(execution["executionArn"])

    def wait(self, execution: str, patience: float, sleep: Callable[[float], None] = time.sleep) -> JsonObject:
        """Wait until a cache is made; returns what the state machine says of it (`snapshot_id`).

        Raises:
            AwsError: it failed, AWS could not be asked, or it takes more than `patience` seconds; then it goes on.
        """
        for _ in range(max(1, round(patience / POLL))):
            with explained_aws():
                found = self._aws.client("stepfunctions").describe_execution(executionArn=execution)
            if found["status"] == "SUCCEEDED":
                made: JsonObject = json.loads(found["output"])
                return made
            if found["status"] != "RUNNING":
                cause = found.get("cause") or found["status"].lower()
                raise AwsError(
                    f"The image cache was not made: {cause}", hint=f"Nothing was left behind. See {execution}"
                )
            sleep(POLL)
        raise AwsError(f"The image cache is still being made: {execution}")
