"""The whole agent as a process, with an emulated AWS and a real runtime, killed and stopped at bad moments."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer

from darkroom.aws.task_store import DynamoTaskStore
from darkroom.messages import TaskMessage, TaskResult
from darkroom.models import now
from darkroom.outcomes import record_result
from darkroom.tasks import Task, TaskStatus, TaskType

LEASE = 2.0
PATIENCE = 60.0
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-west-1"}
STEP = 0.05
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


def png_size(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


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


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def clients(moto: str) -> Callable[[str], Any]:
    make: Any = boto3.session.Session("test", "test", region_name="eu-west-1").client
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = make(service, endpoint_url=moto)
        return made[service]

    return client


@pytest.fixture
def cloud(moto: str, clients: Callable[[str], Any]) -> Cloud:
    mark = uuid4().hex[:8]
    sqs = clients("sqs")
    dead = sqs.create_queue(QueueName=f"dead-{mark}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    attributes = {"RedrivePolicy": redrive, "VisibilityTimeout": "3600"}
    names = {
        "dead": dead,
        "queue": sqs.create_queue(QueueName=f"tasks-{mark}", Attributes=attributes)["QueueUrl"],
        "priority": sqs.create_queue(QueueName=f"priority-{mark}", Attributes=attributes)["QueueUrl"],
        "results": sqs.create_queue(QueueName=f"results-{mark}")["QueueUrl"],
        "table": f"tasks-{mark}",
        "bucket": f"outputs-{mark}",
    }
    clients("s3").create_bucket(
        Bucket=names["bucket"], CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    clients("dynamodb").create_table(
        TableName=names["table"],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return Cloud(clients, moto, DynamoTaskStore(clients("dynamodb"), names["table"]), names)


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts child processes and leaves none behind."""
    started: list[Process] = []

    def run(module: str, *arguments: str, **environment: str) -> Process:
        output = tmp_path / f"{len(started)}.log"
        with output.open("wb") as file:
            child = subprocess.Popen(  # noqa: S603  our own modules
                [sys.executable, "-m", module, *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        started.append(Process(child, output))
        return started[-1]

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.child.kill()
        process.child.wait()


@pytest.fixture
def start_runtime(start: Start) -> Callable[..., tuple[Process, str]]:
    """Starts a preview runtime and returns it with its URL."""

    def run(port: int = 0) -> tuple[Process, str]:
        process = start("darkroom_local.preview", "--port", str(port), "--step-seconds", str(STEP))
        ready = until(lambda: re.search(r"ready (http://\S+)", process.text()), "the runtime's port")
        return process, ready.group(1)

    return run


@pytest.fixture
def start_agent(start: Start, cloud: Cloud) -> Callable[..., Process]:
    """Starts an agent; keyword arguments are its settings."""

    def run(runtime_url: str, **settings: object) -> Process:
        fields = {
            "runtime_name": "sdruntime",
            "runtime_url": runtime_url,
            "queue_url": cloud.names["queue"],
            "priority_queue_url": cloud.names["priority"],
            "results_queue_url": cloud.names["results"],
            "tasks_table": cloud.names["table"],
            "output_bucket": cloud.names["bucket"],
            "lease_seconds": LEASE,
            "heartbeat_seconds": 0.3,
            "poll_seconds": 1,
            **settings,
        }
        environment = {f"DARKROOM_{name.upper()}": str(value) for name, value in fields.items()}
        return start("darkroom_agent", AWS_ENDPOINT_URL=cloud.url, **CREDENTIALS, **environment)

    return run


Submit = Callable[..., Task]
StartRuntime = Callable[..., tuple[Process, str]]


def test_a_task_becomes_images_in_the_bucket_and_one_result(
    cloud: Cloud, make_task: Submit, start_runtime: StartRuntime, start_agent: Start
) -> None:
    _, url = start_runtime()
    agent = start_agent(url)
    task = cloud.submit(make_task, content=QUICK | {"batch_size": 2})
    ended = cloud.end_of(task)
    assert ended.status is TaskStatus.SUCCEEDED
    stem = re.fullmatch(f"({task.output_location}/{task.id}-[a-z0-9]{{4}})\\.out", ended.output_url or "")
    assert stem
    assert (f"{stem.group(1)}-1.png", f"{stem.group(1)}-2.png") == ended.images
    head = cloud.head(ended.images[0])
    assert ("image/png", {"task-id": task.id}) == (head["ContentType"], head["Metadata"])
    answer = json.loads(cloud.read(stem.group(0)))
    assert "images" not in answer
    assert 2 == len(json.loads(answer["info"])["all_seeds"])
    until(lambda: cloud.count() == (0, 0), "the message's deletion")
    agent.stop()
    assert 0 == agent.wait()


def test_links_of_every_kind_reach_the_runtime_as_images(
    cloud: Cloud, make_task: Submit, start_runtime: StartRuntime, start_agent: Start
) -> None:
    _, url = start_runtime()
    start_agent(url, allowed_networks="127.0.0.0/8")
    first = cloud.end_of(cloud.submit(make_task))
    image = first.images[0]
    bucket, _, key = image.removeprefix("s3://").partition("/")
    http = cloud.client("s3").generate_presigned_url("get_object", {"Bucket": bucket, "Key": key})
    for link in (image, http):
        content = QUICK | {"init_images": [link]}
        ended = cloud.end_of(cloud.submit(make_task, type=TaskType.IMAGE_TO_IMAGE, content=content))
        assert TaskStatus.SUCCEEDED is ended.status, ended.error
    upscale = {"image": image, "upscaling_resize": 2, "upscaler_1": "Lanczos"}
    ended = cloud.end_of(cloud.submit(make_task, type=TaskType.EXTRA_SINGLE_IMAGE, content=upscale))
    assert (128, 128) == png_size(cloud.read(ended.images[0]))


def test_what_cannot_work_fails_and_says_why(
    cloud: Cloud, make_task: Submit, start_runtime: StartRuntime, start_agent: Start
) -> None:
    _, url = start_runtime()
    start_agent(url, dynamic_model="true")
    ended = cloud.end_of(cloud.submit(make_task, model="no-such-model.safetensors"))
    assert ended.error is not None
    assert "model_not_found" == ended.error.type
    assert "v1-5-pruned-emaonly.safetensors" in ended.error.message
    inside = QUICK | {"init_images": [f"{cloud.url}/x.png"]}
    ended = cloud.end_of(cloud.submit(make_task, type=TaskType.IMAGE_TO_IMAGE, content=inside))
    assert ended.error is not None
    assert ("input_forbidden", False) == (ended.error.type, ended.error.retryable)
    assert "content.init_images[0]" in ended.error.message


def test_a_drain_with_a_long_grace_finishes_what_runs_and_takes_nothing_more(
    cloud: Cloud, make_task: Submit, start_runtime: StartRuntime, start_agent: Start
) -> None:
    _, url = start_runtime()
    agent = start_agent(url, drain_seconds=30)
    task = cloud.submit(make_task, content=LONG)
    until(lambda: cloud.state(task).status is TaskStatus.RUNNING, "the claim")
    agent.stop()
    agent.until_event("drain_started")
    later = cloud.submit(make_task)
    ended = cloud.end_of(task)
    assert (TaskStatus.SUCCEEDED, 1) == (ended.status, ended.attempt)
    assert 0 == agent.wait()
    assert (TaskStatus.QUEUED, (1, 0)) == (cloud.state(later).status, cloud.count())


def test_a_runtime_killed_in_mid_run_and_back_finishes_the_task(
    cloud: Cloud, make_task: Submit, start_runtime: StartRuntime, start_agent: Start
) -> None:
    runtime, url = start_runtime()
    agent = start_agent(url)
    task = cloud.submit(make_task, content=LONG)
    until(lambda: cloud.state(task).status is TaskStatus.RUNNING, "the claim")
    time.sleep(0.5)
    runtime.stop(signal.SIGKILL)
    until(lambda: cloud.state(task).status is TaskStatus.QUEUED, "the release")
    error = cloud.state(task).error
    assert error is not None
    assert "runtime_lost" == error.type
    agent.until_event("runtime_awaited")
    start_runtime(int(url.rpartition(":")[2]))
    ended = cloud.end_of(task)
    assert (TaskStatus.SUCCEEDED, 2) == (ended.status, ended.attempt)


def test_a_running_task_shows_how_far_it_is_and_what_it_has(
    cloud: Cloud, make_task: Submit, start_runtime: StartRuntime, start_agent: Start
) -> None:
    _, url = start_runtime()
    start_agent(url, preview_seconds=0.3)
    task = cloud.submit(make_task, content=LONG | {"steps": 100})
    seen = until(lambda: cloud.state(task).progress, "progress")
    assert 0 < seen < 1
    until(lambda: (cloud.state(task).progress or 0) > seen, "more progress")
    preview = until(lambda: cloud.state(task).preview, "a preview")
    assert f"s3://{cloud.names['bucket']}/.previews/{task.owner}/{task.id}.png" == preview
    assert cloud.read(preview).startswith(b"\x89PNG")
    assert TaskStatus.SUCCEEDED is cloud.end_of(task).status


def test_an_urgent_task_overtakes_those_that_wait_and_is_run_once(
    cloud: Cloud, make_task: Submit, start_runtime: StartRuntime, start_agent: Start
) -> None:
    waiting = [cloud.submit(make_task, content=QUICK | {"steps": 10}) for _ in range(4)]
    urgent = cloud.submit(make_task, priority="high")
    _, url = start_runtime()
    agent = start_agent(url)
    ended: list[Task] = []

    def all_ended() -> bool:
        ended.extend(cloud.accept_result())
        return len(ended) == 5

    until(all_ended, "five results")
    assert urgent.key == ended[0].key
    assert {task.key for task in ended} == {task.key for task in (*waiting, urgent)}
    until(lambda: (cloud.count(), cloud.count("priority")) == ((0, 0), (0, 0)), "the messages' deletion")
    assert 5 == len(agent.events("task_claimed"))


def test_an_idle_agent_gets_an_urgent_task_at_once(
    cloud: Cloud, make_task: Submit, start_runtime: StartRuntime, start_agent: Start
) -> None:
    _, url = start_runtime()
    agent = start_agent(url, poll_seconds=20)
    agent.until_event("runtime_ready")
    time.sleep(0.5)  # it waits at the ordinary queue
    started = time.monotonic()
    assert TaskStatus.SUCCEEDED is cloud.end_of(cloud.submit(make_task, priority="high")).status
    assert time.monotonic() - started < 5


def test_an_environment_that_lacks_variables_is_told_at_once(start: Start) -> None:
    agent = start("darkroom_agent")
    assert 2 == agent.wait()
    assert "DARKROOM_QUEUE_URL" in agent.text()
