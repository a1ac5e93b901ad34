"""The whole agent as a process beside a ComfyUI: from a message in the queue to files in the bucket."""

import contextlib
import io
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from darkroom import tasks
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.messages import TaskMessage, TaskResult
from darkroom.models import now
from darkroom.outcomes import record_result
from darkroom.tasks import Task, TaskStatus, TaskType

PATIENCE = 20.0
STEP = 0.05
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-west-1"}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def sample(steps: int) -> dict[str, Any]:
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["5", 0]}
    settings = {"seed": 1, "cfg": 8, "sampler_name": "euler", "scheduler": "normal", "denoise": 1}
    return {
        "4": node("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly.safetensors"),
        "5": node("EmptyLatentImage", width=64, height=64, batch_size=2),
        "6": node("CLIPTextEncode", text="a lighthouse", clip=["4", 1]),
        "3": node("KSampler", steps=steps, **links, **settings),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", images=["8", 0], filename_prefix="ComfyUI"),
    }


def until(condition: Callable[[], Any], what: str) -> Any:
    """What the condition returns, as soon as it is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.03)
    raise AssertionError(f"not within {PATIENCE:g} s: {what}")


@dataclass
class Process:
    """A child process whose output lies in a file."""

    child: "subprocess.Popen[bytes]"
    output: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.output.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts child processes and leaves none behind."""
    started: list[Process] = []

    def run(module: str, *arguments: str, **environment: str) -> Process:
        output = tmp_path / f"{len(started)}.log"
        command = [sys.executable, "-m", module, *arguments]
        environment["TMPDIR"] = str(tmp_path)  # what is killed cleans up nothing
        with output.open("wb") as file:
            child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)  # noqa: S603
        started.append(Process(child, output))
        return started[-1]

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.child.kill()
        process.child.wait()


StartComfy = Callable[..., tuple[Process, str]]


@pytest.fixture
def start_comfyui(start: Start) -> StartComfy:
    def run(port: str = "0") -> tuple[Process, str]:
        arguments = ("--type", "comfyui", "--port", port, "--step-seconds", str(STEP))
        process = start("darkroom_local.preview", *arguments)
        ready = until(lambda: re.search(r"ready (http://\S+)", process.output.read_text()), "ComfyUI's port")
        return process, ready.group(1)

    return run


@dataclass
class Cloud:
    """The AWS side of one test."""

    client: Callable[[str], Any]
    store: DynamoTaskStore
    queue: str
    results: str
    bucket: str
    make_task: Callable[..., Task]

    def submit(self, content: dict[str, Any]) -> Task:
        start, name = now(), f"t-{uuid4().hex[:8]}"
        task = self.make_task(
            id=name,
            type=TaskType.PIPELINE,
            content=content,
            output_location=f"s3://{self.bucket}/output/{name}",
            created_at=start,
            expires_at=start + timedelta(hours=1),
        )
        self.store.submit(task)
        self.client("sqs").send_message(QueueUrl=self.queue, MessageBody=TaskMessage.of(task).to_json())
        return task

    def state(self, task: Task) -> Task:
        found = self.store.get(task.key)
        assert found is not None
        return found

    def end_of(self, task: Task) -> Task:
        """Wait until the task has ended by a result."""

        def accept() -> Task | None:
            answer = self.client("sqs").receive_message(QueueUrl=self.results, WaitTimeSeconds=0)
            for message in answer.get("Messages", []):
                handle = message["ReceiptHandle"]
                self.client("sqs").delete_message(QueueUrl=self.results, ReceiptHandle=handle)
                return record_result(self.store, TaskResult.from_json(message["Body"]), now())
            return None

        ended: Task = until(accept, "a result")
        assert task.key == ended.key
        return ended

    def read(self, link: str) -> bytes:
        bucket, _, key = link.removeprefix("s3://").partition("/")
        data: bytes = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return data


@pytest.fixture
def cloud(aws: Callable[..., Any], dynamo_store: DynamoTaskStore, make_task: Callable[..., Task]) -> Cloud:
    clients = {name: aws(name) for name in ("sqs", "s3")}
    mark = uuid4().hex[:8]
    queue, results = (
        clients["sqs"].create_queue(QueueName=f"{n}-{mark}")["QueueUrl"] for n in ("tasks", "results")
    )
    place = {"LocationConstraint": "eu-west-1"}
    clients["s3"].create_bucket(Bucket=f"outputs-{mark}", CreateBucketConfiguration=place)
    return Cloud(lambda name: clients[name], dynamo_store, queue, results, f"outputs-{mark}", make_task)


@pytest.fixture
def start_agent(start: Start, cloud: Cloud) -> Callable[[str], Process]:
    def run(url: str) -> Process:
        settings = {
            "runtime_name": "sdruntime",
            "runtime_type": "comfyui",
            "runtime_url": url,
            "queue_url": cloud.queue,
            "results_queue_url": cloud.results,
            "tasks_table": cloud.store._table,
            "output_bucket": cloud.bucket,
            "lease_seconds": "2",
            "heartbeat_seconds": "0.3",
            "poll_seconds": "1",
            "log_format": "json",
        }
        environment = {f"DARKROOM_{name.upper()}": value for name, value in settings.items()}
        endpoint = cloud.client("sqs").meta.endpoint_url
        return start("darkroom_agent", AWS_ENDPOINT_URL=endpoint, **CREDENTIALS, **environment)

    return run


def test_a_workflow_becomes_images_and_one_of_those_the_input_of_the_next(
    cloud: Cloud, start_comfyui: StartComfy, start_agent: Callable[[str], Process]
) -> None:
    start_agent(start_comfyui()[1])
    first = cloud.end_of(cloud.submit(sample(2)))
    assert first.status is TaskStatus.SUCCEEDED, first.error
    assert [1, 2] == [int(link.rpartition("-")[2].removesuffix(".png")) for link in first.images]
    answer = json.loads(cloud.read(first.output_url or ""))
    assert [1, 2] == [image["number"] for image in answer["outputs"]["9"]["images"]]

    second = cloud.end_of(
        cloud.submit(
            {
                "1": node("LoadImage", image=first.images[0]),
                "2": node("ImageScaleBy", image=["1", 0], upscale_method="lanczos", scale_by=2),
                "9": node("SaveImage", images=["2", 0], filename_prefix="x"),
                "10": node("LoadImage", image="https://127.0.0.1/inside.png"),
            }
        )
    )
    assert second.error is not None  # the second link leads inside
    assert ("input_forbidden", "content.10.inputs.image") == (
        second.error.type,
        second.error.message.partition(":")[0],
    )

    third = cloud.end_of(
        cloud.submit(
            {
                "1": node("LoadImage", image=first.images[0]),
                "2": node("ImageScaleBy", image=["1", 0], upscale_method="lanczos", scale_by=2),
                "9": node("SaveImage", images=["2", 0], filename_prefix="x"),
            }
        )
    )
    assert third.status is TaskStatus.SUCCEEDED, third.error
    whole = Image.open(io.BytesIO(cloud.read(first.images[0]))).resize((128, 128), Image.Resampling.LANCZOS)
    assert whole.tobytes() == Image.open(io.BytesIO(cloud.read(third.images[0]))).tobytes()


def test_a_workflow_that_cannot_run_fails_and_names_its_nodes(
    cloud: Cloud, start_comfyui: StartComfy, start_agent: Callable[[str], Process]
) -> None:
    start_agent(start_comfyui()[1])
    ended = cloud.end_of(cloud.submit(sample(1) | {"12": node("ImageInvert", image=["8", 1])}))
    assert TaskStatus.SUCCEEDED is ended.status  # a loose end is none of the outputs
    broken = sample(1) | {"12": node("ImageInvert"), "13": node("SaveImage", images=["12", 0], filename_prefix="x")}
    ended = cloud.end_of(cloud.submit(broken))
    assert ended.error is not None
    assert ("partial_workflow", False) == (ended.error.type, ended.error.retryable)
    assert "node 12 (ImageInvert)" in ended.error.message


def test_a_cancelled_workflow_is_interrupted(
    cloud: Cloud, start_comfyui: StartComfy, start_agent: Callable[[str], Process]
) -> None:
    agent = start_agent(start_comfyui()[1])
    task = cloud.submit(sample(10_000))
    until(lambda: cloud.state(task).progress, "progress in the table")
    cloud.store.apply(task.key, tasks.cancel(now()))
    until(lambda: agent.events("task_abandoned"), "the interrupt")
    assert TaskStatus.SUCCEEDED is cloud.end_of(cloud.submit(sample(1))).status


def test_a_comfyui_killed_in_mid_run_and_back_finishes_the_task(
    cloud: Cloud, start_comfyui: StartComfy, start_agent: Callable[[str], Process]
) -> None:
    comfyui, url = start_comfyui()
    start_agent(url)
    task = cloud.submit(sample(25))
    until(lambda: cloud.state(task).progress, "progress in the table")
    comfyui.child.send_signal(signal.SIGKILL)
    until(lambda: cloud.state(task).status is TaskStatus.QUEUED, "the release")
    error = cloud.state(task).error
    assert error is not None
    assert "runtime_lost" == error.type
    start_comfyui(url.rpartition(":")[2])
    ended = cloud.end_of(task)
    assert (TaskStatus.SUCCEEDED, 2) == (ended.status, ended.attempt)
