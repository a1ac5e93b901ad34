"""Batches on the local cloud: Step Functions' emulator, the functions, agents and the preview runtime."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.e2e.users import User, eventually
from tests.receivers import run_receiver
from typer.testing import CliRunner

from darkroom.aws.batch_store import DynamoBatchStore
from darkroom.aws.pipeline_store import DynamoPipelineStore
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.batches import BatchKey
from darkroom.models import JsonObject
from darkroom.pipelines import PipelineKey
from darkroom.tasks import TaskKey
from darkroom_cli import AsyncClient
from darkroom_cli.main import app
from darkroom_local.demo.inputs import picture

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

TEXT = {"prompt": "a lighthouse", "steps": 2}
SLOW = {"prompt": "a lighthouse", "steps": 150, "n_iter": 30}
TASKS = {"runtime": "sdruntime", "type": "text-to-image"}
ENDS = {"succeeded", "failed", "cancelled"}


class Batches:
    """A user of batches, who can also look behind the API."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.stack = user.cloud.stack
        self.bucket = self.stack.outputs["OutputS3Bucket"]
        self.states = self.user.client("stepfunctions")
        self.store = DynamoBatchStore(self.user.client("dynamodb"), self.stack.outputs["PipelinesTable"])
        self.tasks = DynamoTaskStore(self.user.client("dynamodb"), self.stack.outputs["TasksTable"])

    def upload(self, name: str, text: str, owner: str | None = None) -> str:
        """A manifest among the owner's uploads."""
        key = f"uploads/{owner or self.user.key_id}/01KG0000000000000000000000/{name}"
        self.user.client("s3").put_object(Bucket=self.bucket, Key=key, Body=text.encode())
        return f"s3://{self.bucket}/{key}"

    async def submit(self, manifest: str, **more: Any) -> str:
        status, body, headers = await self.user.call("POST", "/v1/batches", {"manifest": manifest, **more})
        assert status == 202, body
        assert headers["Location"].endswith(f"/v1/batches/{body['id']}")
        return str(body["id"])

    async def look(self, id_: str) -> JsonObject:
        _, body, _ = await self.user.call("GET", f"/v1/batches/{id_}")
        return body

    async def ends(self, id_: str, seconds: float = 60) -> JsonObject:
        """The batch once it has ended and nothing of it goes on."""

        async def look() -> JsonObject | None:
            body = await self.look(id_)
            assert body["results"] or body["status"] not in ENDS or body["progress"]["rows"], body
            return body if body["results"] else None

        return await eventually(look, f"the end of {id_}", seconds)

    def lines(self, link: str) -> list[JsonObject]:
        return [json.loads(line) for line in self.user.image(link).splitlines()]

    async def runs(self, id_: str, rows: int) -> list[TaskKey]:
        """The tasks of a batch once so many of its rows run."""

        async def look() -> list[TaskKey] | None:
            found = await asyncio.to_thread(list, self.store.running(BatchKey(self.user.key_id, id_)))
            keys = [TaskKey(self.user.key_id, it.id) for it in found if it.id is not None]
            there = [key for key in keys if self.tasks.get(key) is not None]
            return there if len(there) >= rows else None

        return await eventually(look, f"{rows} running rows of {id_}")


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def batches(user: User) -> AsyncIterator[Batches]:
    yield Batches(user)


async def test_a_csv_of_tasks_with_a_bad_row_is_worked_through(batches: Batches) -> None:
    manifest = batches.upload(
        "rows.csv", "prompt,steps,runtime\na dog,2,\na cat,0,\n1984,2,sdruntime\na fox,2,typo\n"
    )

    id_ = await batches.submit(manifest, defaults=TASKS, prefix="bulk", context={"order": 17})
    body = await batches.ends(id_)

    assert (body["status"], body["error"]["type"]) == ("failed", "rows_failed")
    counts = {"rows": 4, "pending": 0, "running": 0, "succeeded": 2, "failed": 2, "cancelled": 0}
    assert body["progress"] == counts
    assert [(it["row"], it["error"]["errors"][0]["field"]) for it in body["failures"]] == [
        (2, "content.steps"),
        (4, "runtime"),
    ]
    results = batches.lines(body["results"]["uri"])
    assert [(it["row"], it["status"], it["id"]) for it in results] == [
        (1, "succeeded", f"{id_}-1"),
        (2, "failed", None),
        (3, "succeeded", f"{id_}-3"),
        (4, "failed", None),
    ]
    assert results[0]["images"][0].startswith(f"s3://{batches.bucket}/bulk/{id_}/{id_}-1/")
    assert batches.lines(body["failures_file"]["uri"]) == [results[1], results[3]]
    task = await batches.user.task(f"{id_}-3")
    assert (task["status"], task["context"]) == ("succeeded", {"order": 17})


async def test_a_jsonl_of_inputs_runs_a_saved_pipeline_for_each_row(batches: Batches) -> None:
    content = TEXT | {"prompt": "${inputs.prompt}", "seed": "${inputs.seed}"}
    document = {
        "inputs": {"prompt": {"type": "string"}, "seed": 7},
        "steps": [TASKS | {"id": "draft", "content": content}],
    }
    status, saved, _ = await batches.user.call("PUT", "/v1/pipeline-definitions/bulk-poster", document)
    assert status == 200, saved
    rows = ['{"prompt": "a ship"}', '{"prompt": 7}', "{", '{"prompt": "a crab", "seed": 12}']

    id_ = await batches.submit(batches.upload("rows.jsonl", "\n".join(rows)), pipeline="bulk-poster", id="posters")
    body = await batches.ends(id_)

    assert (body["kind"], body["definition"], body["status"]) == ("pipelines", "bulk-poster@1", "failed")
    results = batches.lines(body["results"]["uri"])
    assert [it["status"] for it in results] == ["succeeded", "failed", "failed", "succeeded"]
    assert [it["error"]["errors"][0]["field"] for it in body["failures"]] == ["inputs.prompt", "row"]
    _, pipeline, _ = await batches.user.call("GET", "/v1/pipelines/posters-4")
    assert (pipeline["status"], pipeline["inputs"]) == ("succeeded", {"prompt": "a crab", "seed": 12})
    assert results[3]["images"] == pipeline["images"]


async def test_a_cancelled_batch_leaves_nothing_running(batches: Batches) -> None:
    rows = "".join(json.dumps(TASKS | {"content": SLOW}) + "\n" for _ in range(6))
    id_ = await batches.submit(batches.upload("slow.jsonl", rows), max_concurrency=3)
    tasks = await batches.runs(id_, 3)
    running = await batches.look(id_)

    status, body, _ = await batches.user.call("POST", f"/v1/batches/{id_}/cancel")

    assert (status, body["status"]) == (200, "cancelled")
    assert (running["progress"]["running"], running["progress"]["pending"]) == (3, 3)
    ended = await batches.ends(id_)
    assert (ended["status"], ended["error"]["type"]) == ("cancelled", "cancelled")
    assert (ended["progress"]["cancelled"], ended["progress"]["pending"]) == (3, 3)
    assert {batches.tasks.get(key).status for key in tasks} == {"cancelled"}  # type: ignore[union-attr]
    assert batches.tasks.get(TaskKey(batches.user.key_id, f"{id_}-4")) is None


async def test_a_stopped_execution_ends_its_batch_and_its_tasks(batches: Batches) -> None:
    id_ = await batches.submit(batches.upload("one.jsonl", json.dumps(TASKS | {"content": SLOW})))
    (task,) = await batches.runs(id_, 1)
    batch = batches.store.get(BatchKey(batches.user.key_id, id_))
    assert batch is not None
    arn = batches.stack.outputs["BatchStateMachineArn"].replace(":stateMachine:", ":execution:")

    await asyncio.to_thread(batches.states.stop_execution, executionArn=f"{arn}:{batch.execution_name}")

    assert (await batches.ends(id_))["status"] == "cancelled"
    assert batches.tasks.get(task).status == "cancelled"  # type: ignore[union-attr]


async def test_a_cancelled_batch_of_pipelines_cancels_them_and_their_tasks(batches: Batches) -> None:
    document = {
        "inputs": {"n_iter": 30},
        "steps": [TASKS | {"id": "slow", "content": SLOW | {"n_iter": "${inputs.n_iter}"}}],
    }
    id_ = await batches.submit(batches.upload("slow.csv", "n_iter\n30\n29\n"), pipeline=document)
    table = DynamoPipelineStore(batches.user.client("dynamodb"), batches.stack.outputs["PipelinesTable"])
    keys = [PipelineKey(batches.user.key_id, f"{id_}-{row}") for row in (1, 2)]

    async def begun() -> list[TaskKey] | None:
        assigned = [it.key(key.owner) for key in keys for it in await asyncio.to_thread(table.assignments, key)]
        found = [key for key in assigned if key is not None and batches.tasks.get(key) is not None]
        return found if len(found) == len(keys) else None

    tasks = await eventually(begun, "the pipelines' tasks")
    await batches.user.call("POST", f"/v1/batches/{id_}/cancel")

    assert (await batches.ends(id_))["progress"]["cancelled"] == 2
    assert [it.status for key in keys if (it := table.get(key)) is not None] == ["cancelled", "cancelled"]

    async def ended() -> bool | None:
        return all(task.status.ended for key in tasks if (task := batches.tasks.get(key)) is not None) or None

    assert await eventually(ended, "the end of the pipelines' tasks")


async def test_a_retry_runs_only_the_rows_that_have_not_succeeded(batches: Batches) -> None:
    image = f"s3://{batches.bucket}/batch-inputs/retried.png"
    content = {"image": image, "upscaling_resize": 2, "upscaler_1": "Lanczos"}
    rows = [
        TASKS | {"content": TEXT},
        {"runtime": "sdruntime", "type": "extra-single-image", "content": content},
    ]
    manifest = batches.upload("again.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    id_ = await batches.submit(manifest)
    failed = await batches.ends(id_)
    assert (failed["status"], [it["row"] for it in failed["failures"]]) == ("failed", [2])
    first = batches.tasks.get(TaskKey(batches.user.key_id, f"{id_}-1"))
    key = image.split("/", 3)[3]
    batches.user.client("s3").put_object(Bucket=batches.bucket, Key=key, Body=picture())

    status, body, _ = await batches.user.call("POST", f"/v1/batches/{id_}/retry")
    again = await batches.ends(id_)

    assert (status, body["run"], body["progress"]["succeeded"]) == (202, 2, 1)
    assert (again["status"], again["run"], again["failures"]) == ("succeeded", 2, [])
    assert [it["status"] for it in batches.lines(again["results"]["uri"])] == ["succeeded", "succeeded"]
    assert batches.tasks.get(TaskKey(batches.user.key_id, f"{id_}-1")) == first
    status, problem, _ = await batches.user.call("POST", f"/v1/batches/{id_}/retry")
    assert (status, problem["type"]) == (409, "urn:darkroom:problem:batch-state")


async def test_another_owner_s_manifest_is_refused_and_so_is_one_that_is_not_there(batches: Batches) -> None:
    foreign = batches.upload("rows.csv", "prompt\na dog\n", owner="someone")
    missing = foreign.replace("someone", batches.user.key_id).replace("rows.csv", "none.csv")

    for manifest in (foreign, missing, "s3://elsewhere/rows.csv", f"s3://{batches.bucket}/output/rows.csv"):
        status, problem, _ = await batches.user.call("POST", "/v1/batches", {"manifest": manifest})
        assert (status, [it["field"] for it in problem["errors"]]) == (400, ["manifest"]), manifest


async def test_the_start_and_end_of_a_batch_are_told_once_and_the_end_by_webhook(batches: Batches) -> None:
    sqs, events = batches.user.client("sqs"), batches.user.client("events")
    queue = sqs.create_queue(QueueName="batch-events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = {"Rule": "batch-events", "EventBusName": batches.stack.outputs["EventBusName"]}
    pattern = {"source": ["darkroom"], "detail-type": [{"prefix": "Batch"}]}
    events.put_rule(Name=rule["Rule"], EventBusName=rule["EventBusName"], EventPattern=json.dumps(pattern))
    events.put_targets(**rule, Targets=[{"Id": "queue", "Arn": arn}])
    told: list[JsonObject] = []

    manifest = batches.upload("told.csv", "prompt,steps\na dog,2\n")
    with run_receiver() as receiver:
        more = {"defaults": TASKS, "context": {"order": 17}, "webhook": {"url": receiver.url}}
        id_ = await batches.submit(manifest, id="told", **more)

        async def hear() -> JsonObject | None:
            return json.loads(receiver.received[0].body) if receiver.received else None

        heard = await eventually(hear, "the webhook")
    assert (heard["type"], heard["data"]["id"], heard["data"]["context"]) == (
        "batch.succeeded",
        "told",
        {"order": 17},
    )

    async def look() -> bool | None:
        found = await asyncio.to_thread(sqs.receive_message, QueueUrl=queue, MaxNumberOfMessages=10)
        for message in found.get("Messages", []):
            event = json.loads(message["Body"])
            if event["detail"]["id"] == id_:
                told.append(event)
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return any(it["detail-type"] == "BatchSucceeded" for it in told) or None

    await eventually(look, "the last event")
    assert [it["detail-type"] for it in told] == ["BatchStarted", "BatchSucceeded"]
    assert told[1]["detail"]["counts"] == {"running": 0, "succeeded": 1, "failed": 0, "cancelled": 0}
    _, listed, _ = await batches.user.call("GET", "/v1/batches?limit=1")
    assert [it["id"] for it in listed["items"]] == [id_]


async def test_the_command_line_submits_watches_lists_and_prints_results(batches: Batches, tmp_path: Path) -> None:
    user = batches.user
    environment = {"DARKROOM_URL": user.cloud.api_url, "DARKROOM_API_KEY": user.cloud.api_key}
    manifest, written = tmp_path / "prompts.csv", tmp_path / "results.jsonl"
    manifest.write_text("prompt,steps\na dog,2\na cat,0\n")

    async def darkroom(*arguments: str) -> tuple[int, str]:
        invoke = CliRunner().invoke
        result = await asyncio.to_thread(invoke, app, ["batches", *arguments], env=environment)
        return result.exit_code, result.output

    defaults = ("--runtime", "sdruntime", "--type", "text-to-image", "--content", '{"width": 64, "height": 64}')
    code, output = await darkroom(
        "submit", str(manifest), *defaults, "--id", "by-cli", "--watch", "-o", str(written)
    )
    assert (code, "by-cli failed 2/2" in output, "content.steps" in output) == (4, True, True), output
    assert [json.loads(line)["status"] for line in written.read_text().splitlines()] == ["succeeded", "failed"]
    assert "by-cli" in (await darkroom("list"))[1]
    code, output = await darkroom("results", "by-cli", "--failures")
    assert (code, json.loads(output)["row"]) == (0, 2)
    assert (await darkroom("show", "none"))[0] == 3
    async with AsyncClient(user.cloud.api_url, user.cloud.api_key) as client:
        batch = await client.batches.wait("by-cli", timeout=10)
        assert [it.id async for it in client.batches.list(limit=1)] == ["by-cli"]
        saved = await client.batches.download(batch, tmp_path / "failures.jsonl", failures=True)
    assert json.loads(saved.read_text())["row"] == batch.failures[0].row == 2
    assert (await darkroom("cancel", "by-cli"))[0] == 0
    task = await user.task("by-cli-1")
    assert task["output_location"].endswith("/batches/by-cli/by-cli-1")
