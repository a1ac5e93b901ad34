"""How busy an agent keeps its GPU, at ordinary AWS latencies, beside a serial agent (prefetch off).

`make bench` runs it. It prints a table, and with `--docs` writes table and plot to docs/.

The GPU is a server that takes fixed times and tells how far it is (`gpu.py`), AWS an emulated one behind a proxy
that adds latencies (`latency.py`); the queue is never empty. Busy is the GPU's time at work between its first start
and its last end.
"""

import argparse
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import boto3
from gpu import png
from rich.console import Console
from rich.progress import track
from rich.table import Table
from samtranslator.yaml_helper import yaml_parse

from darkroom.aws.task_store import DynamoTaskStore
from darkroom.messages import TaskMessage, TaskResult
from darkroom.models import now
from darkroom.tasks import Task, TaskType
from darkroom_local.aws.process import run_aws
from darkroom_local.loopback import listen

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LEAST_TASKS, LEAST_SECONDS = 12, 10.0
KEYS = {"aws_access_key_id": "bench", "aws_secret_access_key": "bench", "region_name": "us-east-1"}


@dataclass(frozen=True, eq=False)
class Shape:
    """What a task is like: images made, whether an input comes by link; `goals` are busy fractions by run time."""

    name: str
    images: int
    linked: bool
    goals: dict[float, float]


SHAPES = (
    Shape("one image", 1, linked=False, goals={0.2: 0.95, 0.5: 0.98, 1.5: 0.99, 5.0: 0.99}),
    Shape("four images", 4, linked=False, goals={0.2: 0.89, 0.5: 0.95, 1.5: 0.98}),
    Shape("input by link", 1, linked=True, goals={0.2: 0.92, 0.5: 0.97, 1.5: 0.99}),
)


@dataclass(frozen=True)
class Case:
    """What is measured: tasks of a shape that run for so many seconds."""

    shape: Shape
    seconds: float

    @property
    def tasks(self) -> int:
        """How many tasks make it meaningful."""
        return max(LEAST_TASKS, int(LEAST_SECONDS / self.seconds))


@dataclass(frozen=True)
class Measured:
    """What came of a case: busy fraction, seconds a task beyond its run, CPU seconds a task, peak memory in MB."""

    busy: float
    overhead: float
    cpu: float
    memory: float


Pair = tuple[Measured, Measured]
"""Of an agent as it is, and of a serial one."""


def free_port() -> int:
    """A port that nobody listens on."""
    with listen() as found:
        return int(found.getsockname()[1])


@contextmanager
def process(*command: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process for the length of a `with` statement."""
    with subprocess.Popen([sys.executable, *command], env=env, stdout=subprocess.DEVNULL) as running:  # noqa: S603  our own
        try:
            yield running
        finally:
            running.terminate()


def get(url: str) -> Any:  # noqa: ANN401  JSON is anything
    """The JSON at an address of this bench; waits until somebody answers."""
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  http on loopback
                return json.load(answer)
        except (OSError, ValueError):
            time.sleep(0.05)
    raise TimeoutError(url)


class Cloud:
    """Queues, table and bucket of one case, behind the proxy."""

    def __init__(self, direct: str) -> None:
        session = boto3.Session(**KEYS)
        self._sqs = session.client("sqs", endpoint_url=direct)
        self._s3 = session.client("s3", endpoint_url=direct)
        dynamo = session.client("dynamodb", endpoint_url=direct)
        self._name = f"bench-{uuid4().hex[:8]}"
        declared = yaml_parse((ROOT / "sam/template.yaml").read_text())["Resources"]["TasksTable"]["Properties"]
        wanted = {"AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode"}
        dynamo.create_table(TableName=self._name, **{name: declared[name] for name in wanted})
        self._queue = self._sqs.create_queue(QueueName=self._name)["QueueUrl"]
        self._results = self._sqs.create_queue(QueueName=f"{self._name}-results")["QueueUrl"]
        self._s3.create_bucket(Bucket=self._name)
        self._s3.put_object(Bucket=self._name, Key="inputs/a.png", Body=png())
        self._store = DynamoTaskStore(dynamo, self._name)

    def fill(self, case: Case, link: str) -> None:
        """Put the case's tasks into the table and the queue."""
        for number in range(case.tasks):
            content: dict[str, Any] = {"prompt": "noise", "steps": 20, "batch_size": case.shape.images}
            if case.shape.linked:
                content["init_images"] = [f"{link}&number={number}"]
            task = Task(
                owner="bench",
                id=f"task-{number}",
                runtime="bench",
                type=TaskType.IMAGE_TO_IMAGE if case.shape.linked else TaskType.TEXT_TO_IMAGE,
                prefix="output",
                output_location=f"s3://{self._name}/output/task-{number}",
                fingerprint="",
                created_at=now(),
                expires_at=now() + timedelta(hours=1),
                content=content,
            )
            self._store.submit(task)
            self._sqs.send_message(QueueUrl=self._queue, MessageBody=TaskMessage.of(task).to_json())

    def reported(self) -> int:
        """How many tasks an agent has reported."""
        names = ["ApproximateNumberOfMessages"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self._results, AttributeNames=names)
        return int(answer["Attributes"][names[0]])

    def check(self) -> None:
        """See that the tasks were done, not refused."""
        for message in self._sqs.receive_message(QueueUrl=self._results, MaxNumberOfMessages=10)["Messages"]:
            result = TaskResult.from_json(message["Body"])
            if result.error is not None:
                raise RuntimeError(result.error.message)

    def environment(self, endpoint: str, gpu: str, *, prefetch: bool) -> dict[str, str]:
        """The agent's environment."""
        return {
            "AWS_ACCESS_KEY_ID": KEYS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": KEYS["aws_secret_access_key"],
            "AWS_DEFAULT_REGION": KEYS["region_name"],
            "AWS_ENDPOINT_URL": endpoint,
            "DARKROOM_ALLOWED_NETWORKS": "127.0.0.0/8",
            "DARKROOM_OUTPUT_BUCKET": self._name,
            "DARKROOM_POLL_SECONDS": "1",
            "DARKROOM_PREFETCH": str(prefetch).lower(),
            "DARKROOM_QUEUE_URL": self._queue,
            "DARKROOM_RESULTS_QUEUE_URL": self._results,
            "DARKROOM_RUNTIME_NAME": "bench",
            "DARKROOM_RUNTIME_URL": gpu,
            "DARKROOM_TASKS_TABLE": self._name,
        }

    def input_link(self, proxied: str) -> str:
        """Where the input picture is, by the proxy."""
        params = {"Bucket": self._name, "Key": "inputs/a.png"}
        link = urlsplit(self._s3.generate_presigned_url("get_object", Params=params))
        return urlunsplit(link._replace(netloc=urlsplit(proxied).netloc))


def measure(case: Case, direct: str, proxied: str, *, prefetch: bool) -> Measured:
    """Run one case with one of the two agents."""
    cloud = Cloud(direct)
    cloud.fill(case, cloud.input_link(proxied))
    port = free_port()
    gpu = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        stack.enter_context(process(str(HERE / "gpu.py"), str(port), str(case.seconds), str(case.shape.images)))
        get(f"{gpu}/busy")
        agent = stack.enter_context(
            process("-m", "darkroom_agent", env=cloud.environment(proxied, gpu, prefetch=prefetch))
        )
        while not cloud.reported():  # what starting costs is paid once, not for each task
            time.sleep(0.05)
        counted, started = cloud.reported(), usage(agent.pid)[0]
        until = time.monotonic() + 60 + case.tasks * (case.seconds + 2)
        while cloud.reported() < case.tasks:
            if time.monotonic() > until or agent.poll() is not None:
                raise TimeoutError(f"{case}: {cloud.reported()} of {case.tasks} tasks were reported")
            time.sleep(0.2)
        cpu, memory = usage(agent.pid)
        cloud.check()
        spans = get(f"{gpu}/busy")
    whole = spans[-1][1] - spans[0][0]
    busy = sum(end - start for start, end in spans)
    return Measured(
        busy / whole, (whole - busy) / (case.tasks - 1), (cpu - started) / (case.tasks - counted), memory
    )


def usage(pid: int) -> tuple[float, float]:
    """A process's CPU time in seconds and its peak memory in MB."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return (int(fields[11]) + int(fields[12])) / 100, int(status["VmHWM"].split()[0]) / 1024


def table(pairs: dict[Case, Pair]) -> Table:
    """The results side by side."""
    rows = Table("task", "GPU s", "busy", "goal", "serial", "beyond ms", "serial", "CPU ms", "memory MB")
    for case, (ours, serial) in pairs.items():
        goal = case.shape.goals[case.seconds]
        rows.add_row(
            case.shape.name,
            f"{case.seconds:.1f}",
            f"[{'green' if ours.busy >= goal else 'red'}]{ours.busy:.1%}[/]",
            f"{goal:.0%}",
            f"{serial.busy:.1%}",
            f"{1000 * ours.overhead:.0f}",
            f"{1000 * serial.overhead:.0f}",
            f"{1000 * ours.cpu:.0f}",
            f"{ours.memory:.0f}",
        )
    return rows


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="200 ms and one image only")
    parser.add_argument("--docs", action="store_true", help="write table and plot into docs/performance.md too")
    arguments = parser.parse_args()
    shapes = SHAPES[:1] if arguments.quick else SHAPES
    cases = [Case(shape, seconds) for shape in shapes for seconds in ([0.2] if arguments.quick else shape.goals)]
    pairs: dict[Case, Pair] = {}
    with run_aws() as direct, ExitStack() as stack:
        port = free_port()
        proxied = f"http://127.0.0.1:{port}"
        stack.enter_context(process(str(HERE / "latency.py"), str(port), direct))
        for case in track(cases, "measuring …"):
            ours, serial = (measure(case, direct, proxied, prefetch=prefetch) for prefetch in (True, False))
            pairs[case] = ours, serial
    Console().print(table(pairs))
    if arguments.docs:
        from report import write  # it wants matplotlib  # noqa: PLC0415

        write(pairs, ROOT / "docs")


if __name__ == "__main__":
    main()
