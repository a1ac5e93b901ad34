"""`run_batch` on moto's Step Functions, with its rows in an emulated S3 and the rest of its world in memory.

The maps stay distributed: their items' histories are looked at one by one.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.pipelines.machines import Execution, Json, Machines, StateError, definition, transitions

from darkroom import tasks
from darkroom.aws.batch_executions import StepFunctionsBatchExecutions
from darkroom.aws.blob_links import S3BlobLinks
from darkroom.aws.blob_store import S3BlobStore
from darkroom.aws.row_files import S3RowFiles
from darkroom.batch_desk import BatchDesk
from darkroom.batch_files import BatchFiles
from darkroom.batch_plans import BatchPlans
from darkroom.batch_rows import BatchRows
from darkroom.batch_testing import InMemoryBatchStore, RecordedExecutions
from darkroom.batches import Batch, BatchEnd, BatchKey, BatchStatus, Counts
from darkroom.errors import DarkroomError
from darkroom.models import JsonObject, now
from darkroom.pipeline_files import PipelineFiles
from darkroom.pipeline_submissions import PipelineSubmissions
from darkroom.pipeline_testing import InMemoryPipelineStore
from darkroom.pipelines import End, PipelineKey, PipelineStatus
from darkroom.runtimes import Runtime, RuntimeType
from darkroom.submissions import Submissions
from darkroom.task_starts import TaskStarts
from darkroom.tasks import TaskError, TaskKey
from darkroom.testing import InMemoryRuntimeRegistry, InMemoryTaskStore

OWNER = "owner"
SECONDS, LOOK_EVERY = 60, 0.02
ROLE = "arn:aws:iam::123456789012:role/machines"
TEXT = {"runtime": "sdruntime", "type": "text-to-image"}
DOCUMENT = {
    "inputs": {"prompt": {"type": "string"}},
    "steps": [TEXT | {"id": "a", "content": {"prompt": "${inputs.prompt}"}}],
}
ROWS = '{"content": {"prompt": "%s"}}\n'
PIPELINE = {  # stands for the state machine `pipeline`, which has tests of its own
    "StartAt": "Run",
    "States": {
        "Run": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {
                "FunctionName": "arn:aws:lambda:eu-west-1:123456789012:function:Pipeline",
                "Payload": {"do": "pipeline", "batch.$": "$.pipeline"},
            },
            "End": True,
        }
    },
}


class World:
    """A user of batches. A row's task fails where its prompt says so, and the owner cancels where it says that."""

    def __init__(self, aws: Callable[..., Any], machines: Machines) -> None:
        self.machines, self.client = machines, machines.client
        self.bucket = f"batches-{uuid4().hex[:8]}"
        self.s3 = aws("s3")
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        runtime = Runtime(name="sdruntime", type=RuntimeType.SDWEBUI)
        registry = InMemoryRuntimeRegistry({"sdruntime": runtime})
        self.tasks, self.store, blobs = InMemoryTaskStore(), InMemoryBatchStore(), S3BlobStore(self.s3)
        self.pipelines = PipelineSubmissions(
            InMemoryPipelineStore(), PipelineFiles(blobs, self.tasks), registry, self.bucket
        )
        self.files = BatchFiles(blobs, S3RowFiles(self.s3))
        executions = StepFunctionsBatchExecutions(self.client, self._machine())
        self.rows = BatchRows(
            self.store,
            self.files,
            Submissions(self.tasks, blobs, registry, self.bucket, timedelta(hours=1)),
            TaskStarts(self.tasks, blobs, self.bucket),
            self.pipelines,
            executions,
        )
        self.plans = BatchPlans(self.rows)
        self.desk = BatchDesk(self.store, self.files, self.pipelines, executions, S3BlobLinks(self.s3))
        self.executions = executions
        self.calls: list[str] = []
        self.mended: set[str] = set()

    def _machine(self) -> str:
        made = self.client.create_state_machine(
            name=f"pipeline-{uuid4().hex[:8]}", definition=json.dumps(PIPELINE), roleArn=ROLE
        )
        text = json.dumps(definition("run_batch")).replace("${Partition}", "aws")
        text = text.replace("${PipelineStateMachine}", made["stateMachineArn"])
        text = re.sub(r"\$\{(\w+)\}", r"arn:aws:lambda:eu-west-1:123456789012:function:\1", text)
        found = self.client.create_state_machine(name=f"batch-{uuid4().hex[:8]}", definition=text, roleArn=ROLE)
        arn: str = found["stateMachineArn"]
        return arn

    def submit(self, rows: str, *, start: bool = True, **more: Any) -> Batch:
        """A batch with these lines as its manifest."""
        id_ = f"b{uuid4().hex[:8]}"
        manifest = f"s3://{self.bucket}/uploads/{OWNER}/{id_}.jsonl"
        self.s3.put_object(Bucket=self.bucket, Key=manifest.split("/", 3)[3], Body=rows.encode())
        for name in (id_, *(f"{id_}-{row}" for row in range(1, 10))):
            self.machines.answer(name, self._answer, self._wait)
        asked = {"manifest": manifest} | ({} if "pipeline" in more else {"defaults": TEXT}) | more
        desk = self.desk if start else replace(self.desk, executions=RecordedExecutions())
        return desk.submit(asked, OWNER, id_, now())

    def _answer(self, function: str, payload: Json) -> Json:
        self.calls.append(payload["do"])
        try:
            if payload["do"] == "pipeline":
                return self._run_pipeline(payload["batch"])
            return (self.plans if function == "BatchFunction" else self.rows).handle(payload, now())
        except DarkroomError as error:
            raise StateError(type(error).__name__, str(error)) from error

    def _run_pipeline(self, named: JsonObject) -> Json:
        key = PipelineKey(named["owner"], named["id"])
        pipeline = self.pipelines.store.get(key)
        assert pipeline is not None
        _, inputs = self.pipelines.files.load(pipeline)
        broken = TaskError(type="boom", message="it broke") if inputs["prompt"] == "fails" else None
        status = PipelineStatus.FAILED if broken else PipelineStatus.SUCCEEDED
        self.pipelines.store.end(key, named["run"], End(now(), status, broken, images=("s3://bucket/x.png",)))
        if broken:
            raise StateError("PipelineFailed", "it broke")
        return {}

    def _wait(self, payload: Json) -> Json:
        batch = self.store.get(BatchKey(OWNER, payload["batch"]["id"]))
        assert batch is not None
        record = self.store.row(batch.key, int(payload["row"]["row"]))
        assert record is not None
        assert record.id is not None
        key = TaskKey(OWNER, record.id)
        task = self.tasks.apply(key, tasks.claim(now(), timedelta(seconds=60)))
        prompt = None if task.content is None else task.content["prompt"]  # a large one waits in the bucket
        if prompt == "cancels":
            self.store.end(batch.key, batch.run, _cancelled())
        if prompt == "fails" and task.id not in self.mended:
            self.tasks.apply(key, tasks.fail(now(), task.attempt, TaskError(type="boom", message="it broke")))
            raise StateError("TaskFailed")
        self.tasks.apply(
            key, tasks.succeed(now(), task.attempt, images=("s3://b/1.png",), output_url=None, timings=None)
        )
        return {"status": "succeeded"}

    def ends(self, batch: Batch) -> tuple[Batch, list[Execution]]:
        """The batch at its end, and its execution with those of its rows."""
        arn = self.executions.start(self.store.get(batch.key) or batch)
        until = time.monotonic() + SECONDS
        while (found := self.client.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < until, f"{batch.id} has not ended"
            time.sleep(LOOK_EVERY)
        runs = [Execution(found, self._events(arn))]
        for run in self.client.list_map_runs(executionArn=arn)["mapRuns"]:
            listed = self.client.list_executions(mapRunArn=run["mapRunArn"])["executions"]
            runs += [Execution(it, self._events(it["executionArn"])) for it in listed]
        assert all(it.largest < 262_144 for it in runs)
        ended = self.store.get(batch.key)
        assert ended is not None
        return ended, runs

    def _events(self, arn: str) -> list[JsonObject]:
        pages = self.client.get_paginator("get_execution_history").paginate(executionArn=arn)
        return [event for page in pages for event in page["events"]]

    def results(self, batch: Batch) -> list[JsonObject]:
        """The lines of a batch's results."""
        return [json.loads(line) for line in self.files.blobs.get(batch.results_file).splitlines()]


def _cancelled() -> BatchEnd:
    return BatchEnd(now(), BatchStatus.CANCELLED, TaskError(type="cancelled", message="the batch was cancelled"))


@pytest.fixture(scope="module")
def world(aws: Callable[..., Any], machines: Machines) -> World:
    return World(aws, machines)


@pytest.fixture(scope="module")
def seen() -> set[tuple[str, str]]:
    """The transitions that the tests of this module have taken."""
    return set()


@pytest.fixture
def ends(world: World, seen: set[tuple[str, str]]) -> Callable[[Batch], tuple[Batch, str]]:
    """Runs a batch to its end: the batch, and how its execution ended."""

    def run(batch: Batch) -> tuple[Batch, str]:
        ended, executions = world.ends(batch)
        seen.update(pair for it in executions for pair in it.visits)
        return ended, executions[0].end[0]

    return run


Ends = Callable[[Batch], tuple[Batch, str]]


def test_every_row_is_a_task_and_the_batch_succeeds(world: World, ends: Ends) -> None:
    batch, end = ends(world.submit(ROWS % "a dog" + ROWS % "a cat", context={"order": 17}))

    assert (end, batch.status, batch.counts) == ("SUCCEEDED", "succeeded", Counts(succeeded=2))
    assert [(it["row"], it["id"], it["images"]) for it in world.results(batch)] == [
        (1, f"{batch.id}-1", ["s3://b/1.png"]),
        (2, f"{batch.id}-2", ["s3://b/1.png"]),
    ]
    task = world.tasks.get(TaskKey(OWNER, f"{batch.id}-1"))
    assert task is not None
    assert (task.context, task.prefix) == ({"order": 17}, f"batches/{batch.id}")


def test_a_wrong_row_and_a_failed_one_are_failures_and_the_rest_is_done(world: World, ends: Ends) -> None:
    rows = ROWS % "a dog" + "{\n" + ROWS % "fails" + '{"content": {"prompt": "x", "steps": 0}}\n' + '{"runtime": 7}'

    batch, end = ends(world.submit(rows))

    assert (end, batch.status, batch.counts) == ("BatchFailed", "failed", Counts(succeeded=1, failed=4))
    assert [(it.row, it.error.type) for it in batch.failures] == [
        (2, "invalid_row"),
        (3, "boom"),
        (4, "invalid_row"),
        (5, "invalid_row"),
    ]
    assert [it.field for it in batch.failures[2].error.errors] == ["content.steps"]
    assert [it.field for it in batch.failures[3].error.errors] == ["runtime", "content"]


def test_a_row_may_be_larger_than_what_a_state_may_hold(world: World, ends: Ends) -> None:
    """`World.ends` looks at all that travelled between states."""
    batch, end = ends(world.submit(ROWS % ("a dog " * 50_000) + ROWS % "a cat"))

    assert (end, batch.counts) == ("SUCCEEDED", Counts(succeeded=2))


def test_a_retry_runs_only_what_has_not_succeeded(world: World, ends: Ends) -> None:
    batch, _ = ends(world.submit(ROWS % "a dog" + ROWS % "fails" + ROWS % "a fox"))
    kept = world.tasks.get(TaskKey(OWNER, f"{batch.id}-1"))
    world.mended.add(f"{batch.id}-2")
    world.calls.clear()

    again, end = ends(world.desk.retry(batch, now()))

    assert (end, again.run, again.counts) == ("SUCCEEDED", 2, Counts(succeeded=3))
    assert world.calls == ["plan", "start_task", "end_task", "end"]
    assert world.tasks.get(TaskKey(OWNER, f"{batch.id}-1")) == kept


def test_a_retry_with_nothing_left_to_do_ends_at_once(world: World, ends: Ends) -> None:
    """As where the last row's end was written, and the batch cancelled before it could be counted."""
    batch, end = ends(world.submit(ROWS % "cancels"))
    assert (end, batch.status, batch.counts) == ("BatchCancelled", "cancelled", Counts(succeeded=1))
    world.calls.clear()

    again, end = ends(world.desk.retry(batch, now()))

    assert (end, again.counts, world.calls) == ("SUCCEEDED", Counts(succeeded=1), ["plan", "end"])


def test_once_too_many_rows_have_failed_no_further_one_begins(world: World, ends: Ends) -> None:
    rows = ROWS % "fails" * 4 + ROWS % "a dog" * 4

    batch, end = ends(world.submit(rows, max_concurrency=1, tolerated_failure_percentage=25))

    assert batch.error is not None
    assert (end, batch.error.type) == ("BatchFailed", "too_many_failures")
    assert (batch.counts, batch.rows) == (Counts(failed=3), 8)


def test_a_manifest_that_is_gone_fails_the_batch(world: World, ends: Ends) -> None:
    batch = world.submit(ROWS % "a dog", start=False)
    world.s3.delete_object(Bucket=world.bucket, Key=batch.manifest.split("/", 3)[3])

    ended, end = ends(batch)

    assert ended.error is not None
    assert (end, ended.error.type, ended.counts) == ("BatchFailed", "manifest", Counts())
    assert ended.error.message == "the manifest cannot be read: it is gone"


def test_rows_of_inputs_run_a_pipeline_each(world: World, ends: Ends) -> None:
    rows = '{"prompt": "a dog"}\n{"prompt": 7}\n{"prompt": "fails"}\n{"x": 1}'

    batch, end = ends(world.submit(rows, pipeline=DOCUMENT))

    assert (end, batch.counts) == ("BatchFailed", Counts(succeeded=1, failed=3))
    assert [(it.row, it.error.type) for it in batch.failures] == [
        (2, "invalid_row"),
        (3, "boom"),
        (4, "invalid_row"),
    ]
    pipeline = world.pipelines.store.get(PipelineKey(OWNER, f"{batch.id}-3"))
    assert pipeline is not None
    assert [it["id"] for it in world.results(batch)] == [f"{batch.id}-1", None, f"{batch.id}-3", None]

    again, _ = ends(world.desk.retry(batch, now()))

    assert again.counts == Counts(succeeded=1, failed=3)
    assert world.pipelines.store.get(pipeline.key).run == 2  # type: ignore[union-attr]


def test_step_functions_tells_how_far_a_run_is_and_writes_what_became_of_its_items(
    world: World, ends: Ends
) -> None:
    batch, _ = ends(world.submit(ROWS % "a dog" + ROWS % "fails"))

    assert world.executions.counts(batch) == Counts(succeeded=1, failed=1)
    folder = batch.run_folder.split("/", 3)[3]
    found = world.s3.list_objects_v2(Bucket=world.bucket, Prefix=folder)["Contents"]
    written = {it["Key"].rpartition("/")[2]: it["Key"] for it in found}
    assert set(written) == {"manifest.json", "SUCCEEDED_0.json", "FAILED_0.json"}
    (failed,) = json.loads(world.s3.get_object(Bucket=world.bucket, Key=written["FAILED_0.json"])["Body"].read())
    assert (failed["Status"], failed["Error"]) == ("FAILED", "RowFailedError")


def test_every_transition_has_been_run(seen: set[tuple[str, str]]) -> None:
    """By the tests above, which pytest runs first."""
    assert transitions(definition("run_batch")) - seen == set()
