"""An emulated AWS, and agents and preview runtimes as processes."""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer
from tests.integration.agent.clouds import Cloud, Process, Start, StartRuntime, until

from darkroom.aws.task_store import DynamoTaskStore

LEASE = 2.0
STEP = 0.05
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-west-1"}


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
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


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Start]:
    """Starts child processes and leaves none behind."""
    started: list[Process] = []

    def run(module: str, *arguments: str, **environment: str) -> Process:
        output = tmp_path / f"{len(started)}.log"
        environment["TMPDIR"] = str(tmp_path)  # what is killed cleans up nothing
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
def start_runtime(start_process: Start) -> StartRuntime:
    """Starts a preview runtime and returns it with its URL."""

    def run(port: int = 0, kind: str = "sdwebui") -> tuple[Process, str]:
        arguments = ("--type", kind, "--port", str(port), "--step-seconds", str(STEP))
        process = start_process("darkroom_local.preview", *arguments)
        ready = until(lambda: re.search(r"ready (http://\S+)", process.text()), "the runtime's port")
        return process, ready.group(1)

    return run


@pytest.fixture
def start_agent(start_process: Start, cloud: Cloud) -> Start:
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
        return start_process("darkroom_agent", AWS_ENDPOINT_URL=cloud.url, **CREDENTIALS, **environment)

    return run
