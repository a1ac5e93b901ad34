"""What tests of whole agents have at hand: processes, and the AWS side of one test."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

from darkroom.aws.task_store import DynamoTaskStore
from darkroom.messages import TaskMessage, TaskResult
from darkroom.models import now
from darkroom.outcomes import record_result
from darkroom.tasks import Task

PATIENCE = 20.0
QUICK = {"prompt": "A dog", "steps": 1, "width": 64, "height": 64}
LONG = QUICK | {"steps": 60}  # three seconds


def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """What the condition returns, as soon as it is true."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.03)
    raise AssertionError(f"not within {patience:g} s: {what}")


@dataclass
class Process:
    """A child process whose output lies in a file."""

    child: subprocess.Popen[bytes]
    output: Path

    def text(self) -> str:
        return self.output.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def until_event(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = until(lambda: self.events(name), f"{name} in\n{self.text()}")
        return found[0]

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.child.send_signal(number)

    def wait(self) -> int:
        return self.child.wait(PATIENCE)


@dataclass
class Cloud:
    """The AWS side of one test: table, queues, bucket."""

    client: Callable[[str], Any]
    url: str
    store: DynamoTaskStore
    names: dict[str, str] = field(default_factory=dict)

    def submit(self, make_task: Callable[..., Task], **changes: Any) -> Task:
        """Write a task and send its message, as the API and the router do."""
        start = now()
        fields: dict[str, Any] = {
            "id": f"t-{uuid4().hex[:8]}",
            "created_at": start,
            "expires_at": start + timedelta(hours=1),
            "content": QUICK,
        }
        task = make_task(**(fields | changes))
        task = task.model_copy(update={"output_location": f"s3://{self.names['bucket']}/output/{task.id}"})
        self.store.submit(task)
        for queue in ("queue", "priority") if task.priority == "high" else ("queue",):
            self.send(TaskMessage.of(task).to_json(), queue)
        return task

    def send(self, body: str, queue: str = "queue") -> None:
        self.client("sqs").send_message(QueueUrl=self.names[queue], MessageBody=body)

    def accept_result(self) -> list[Task]:
        """Take what the results queue holds and record it, as the callback function does."""
        sqs = self.client("sqs")
        ended = []
        answer = sqs.receive_message(QueueUrl=self.names["results"], MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            result = TaskResult.from_json(message["Body"])
            sqs.delete_message(QueueUrl=self.names["results"], ReceiptHandle=message["ReceiptHandle"])
            if (task := record_result(self.store, result, now())) is not None:
                ended.append(task)
        return ended

    def end_of(self, task: Task) -> Task:
        """Wait until the task has ended; no other may end meanwhile."""
        ended: Task
        (ended,) = until(self.accept_result, "a result that counts")
        assert ended.key == task.key
        return ended

    def state(self, task: Task) -> Task:
        found = self.store.get(task.key)
        assert found is not None
        return found

    def read(self, link: str) -> bytes:
        bucket, _, key = link.removeprefix("s3://").partition("/")
        data: bytes = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return data

    def head(self, link: str) -> dict[str, Any]:
        bucket, _, key = link.removeprefix("s3://").partition("/")
        found: dict[str, Any] = self.client("s3").head_object(Bucket=bucket, Key=key)
        return found

    def count(self, queue: str = "queue") -> tuple[int, int]:
        """Messages that can be received, and those that are hidden."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.client("sqs").get_queue_attributes(QueueUrl=self.names[queue], AttributeNames=names)
        visible, hidden = (int(answer["Attributes"][name]) for name in names)
        return visible, hidden


Start: TypeAlias = Callable[..., Process]
StartRuntime: TypeAlias = Callable[..., tuple[Process, str]]
MakeTask: TypeAlias = Callable[..., Task]
