"""Pipelines on the local cloud: Step Functions' emulator, the functions, agents and the preview runtime."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aiohttp import web
from tests.e2e.users import User, eventually
from tests.pipelines.interpreter import interpret
from typer.testing import CliRunner

from darkroom import tasks
from darkroom.aws.pipeline_store import DynamoPipelineStore
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.documents import read_document
from darkroom.messages import TaskMessage
from darkroom.models import JsonObject, now
from darkroom.pipelines import Pipeline, PipelineKey
from darkroom.tasks import Task, TaskStatus, TaskType
from darkroom_cli.main import app
from darkroom_local.demo.inputs import picture
from darkroom_local.loopback import LoopbackServer

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

TEXT = {"prompt": "a lighthouse", "steps": 2}
SLOW = TEXT | {"steps": 150, "n_iter": 30}
MISSING = TEXT | {"alwayson_scripts": {"sd_model_checkpoint": "missing.safetensors"}}


def step(id_: str, **more: Any) -> JsonObject:
    return {"id": id_, "runtime": "sdruntime", "type": "text-to-image", "content": TEXT} | more


def upscale(id_: str, image: str, **more: Any) -> JsonObject:
    content = {"image": image, "upscaling_resize": 2, "upscaler_1": "Lanczos"}
    return step(id_, type="extra-single-image", content=content, **more)


class Pipelines:
    """A user of pipelines, who can also look behind the API."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.stack = user.cloud.stack
        self.states = self.user.client("stepfunctions")
        self.store = DynamoPipelineStore(self.user.client("dynamodb"), self.stack.outputs["PipelinesTable"])
        self.tasks = DynamoTaskStore(self.user.client("dynamodb"), self.stack.outputs["TasksTable"])
        (api,) = self.stack.rest_apis
        self.owner = api.keys[user.cloud.api_key]

    async def submit(self, *steps: JsonObject, **more: Any) -> str:
        status, body, headers = await self.user.call("POST", "/v1/pipelines", {"steps": list(steps), **more})
        assert status == 202, body
        assert headers["Location"].endswith(f"/v1/pipelines/{body['id']}")
        return str(body["id"])

    async def look(self, id_: str) -> JsonObject:
        _, body, _ = await self.user.call("GET", f"/v1/pipelines/{id_}")
        return body

    async def ends(self, id_: str, seconds: float = 60, owner: str | None = None) -> JsonObject:
        """The pipeline as the API shows it once it has ended; until then the table is asked, which costs less."""
        key = PipelineKey(owner or self.owner, id_)

        async def look() -> bool | None:
            pipeline = await asyncio.to_thread(self.store.get, key)
            return (pipeline is not None and pipeline.status.ended) or None

        await eventually(look, f"the end of {id_}", seconds)
        return await self.look(id_)

    def assigned(self, id_: str, owner: str | None = None) -> list[Task]:
        """The tasks that work, or worked last, at the pipeline's items."""
        whose = owner or self.owner
        found = self.store.assignments(PipelineKey(whose, id_))
        looked = [self.tasks.get(key) for it in found if (key := it.key(whose)) is not None]
        return [task for task in looked if task is not None]

    async def runs(self, id_: str, owner: str | None = None) -> list[Task]:
        """The tasks once one of them runs."""

        async def look() -> list[Task] | None:
            found = await asyncio.to_thread(self.assigned, id_, owner)
            return found if any(task.status == "running" for task in found) else None

        return await eventually(look, f"a running task of {id_}")

    async def has_no_orphans(self, id_: str, owner: str | None = None) -> None:
        async def look() -> bool | None:
            found = await asyncio.to_thread(self.assigned, id_, owner)
            return all(task.status.ended for task in found) or None

        assert await eventually(look, f"all tasks of {id_} to have ended", 15)

    async def execution(self, arn: str, *statuses: str) -> JsonObject:
        async def look() -> JsonObject | None:
            found: JsonObject = await asyncio.to_thread(self.states.describe_execution, executionArn=arn)
            return found if found["status"] in statuses else None

        return await eventually(look, f"{arn} to be {statuses}", 60)

    def arn_of(self, pipeline: Pipeline) -> str:
        """The execution of a pipeline's present run."""
        machine = str(self.stack.outputs["PipelineStateMachineArn"])
        return f"{machine.replace(':stateMachine:', ':execution:')}:{pipeline.execution_name}"

    async def start(self, machine: str, input_: Any) -> tuple[str, str]:
        name = f"e2e-{uuid4().hex[:10]}"
        arn = self.stack.outputs[machine]
        answer = await asyncio.to_thread(
            self.states.start_execution, stateMachineArn=arn, name=name, input=json.dumps(input_)
        )
        return name, answer["executionArn"]


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def pipelines(user: User) -> Pipelines:
    return Pipelines(user)


@pytest_asyncio.fixture(loop_scope="session")
async def flaky() -> AsyncIterator[LoopbackServer]:
    """A web server whose pictures fail as often as their path says, and are there from then on."""
    asked: dict[str, int] = {}

    async def serve(request: web.Request) -> web.Response:
        asked[request.path] = asked.get(request.path, 0) + 1
        if asked[request.path] <= int(request.match_info["failures"]):
            return web.Response(status=404)
        return web.Response(body=picture(), content_type="image/png")

    app = web.Application()
    app.router.add_get("/{failures}/{name}", serve)
    async with LoopbackServer(app) as server:
        yield server


def statuses(body: JsonObject) -> dict[str, str]:
    return {it["id"]: it["status"] for it in body["steps"]}


async def test_a_draft_is_upscaled_image_by_image(pipelines: Pipelines) -> None:
    id_ = await pipelines.submit(
        step("draft", content=TEXT | {"n_iter": 3}), upscale("big", "${item}", foreach="${draft.images}")
    )

    body = await pipelines.ends(id_)

    assert (body["status"], statuses(body)) == ("succeeded", {"draft": "succeeded", "big": "succeeded"})
    assert len(body["images"]) == 3
    assert [it["done"] for it in body["steps"]] == [1, 3]


async def test_a_failing_step_is_tried_again_and_the_pipeline_goes_on_without_it(
    pipelines: Pipelines, flaky: LoopbackServer
) -> None:
    id_ = await pipelines.submit(
        upscale("twice", f"{flaky.url}/1/a.png", retry={"max_attempts": 2, "backoff_seconds": 0}),
        upscale("never", f"{flaky.url}/9/b.png", retry={"max_attempts": 2}, on_failure="continue"),
        step("each", foreach=[1, 2], content=MISSING, on_failure="continue"),
        upscale("skipped", "${never.images[0]}"),
        step("instead", when="${never.status} == 'failed'"),
    )

    body = await pipelines.ends(id_)

    assert body["status"] == "succeeded", body
    assert statuses(body) == {
        "twice": "succeeded",
        "never": "failed",
        "each": "failed",
        "skipped": "skipped",
        "instead": "succeeded",
    }


async def test_a_failed_step_cancels_its_siblings(pipelines: Pipelines) -> None:
    id_ = await pipelines.submit(
        step("draft"),
        step("slow", content=SLOW, needs=["draft"]),
        upscale("breaks", "${draft.images[7]}"),
    )

    body = await pipelines.ends(id_)

    assert (body["status"], body["error"]["type"]) == ("failed", "reference")
    await pipelines.has_no_orphans(id_)
    found = {task.step: task.status for task in pipelines.assigned(id_)}
    assert found.get("slow", "cancelled") == "cancelled"


async def test_a_stopped_execution_cancels_its_running_tasks(pipelines: Pipelines) -> None:
    document = {"steps": [step("slow", content=SLOW, foreach=[1, 2])]}
    name, arn = await pipelines.start("PipelineStateMachineArn", document)
    await pipelines.runs(name, "account")

    await asyncio.to_thread(pipelines.states.stop_execution, executionArn=arn)

    await pipelines.execution(arn, "ABORTED")
    body = await pipelines.ends(name, owner="account")
    assert body["status"] == "cancelled"
    await pipelines.has_no_orphans(name, "account")


async def test_a_cancelled_pipeline_cancels_its_tasks_and_its_execution_ends_as_cancelled(
    pipelines: Pipelines,
) -> None:
    id_ = await pipelines.submit(step("slow", content=SLOW))
    await pipelines.runs(id_)

    status, body, _ = await pipelines.user.call("POST", f"/v1/pipelines/{id_}/cancel")

    assert (status, body["status"]) == (200, "cancelled")
    await pipelines.has_no_orphans(id_)
    pipeline = pipelines.store.get(PipelineKey(pipelines.owner, id_))
    assert pipeline is not None
    ended = await pipelines.execution(pipelines.arn_of(pipeline), "FAILED")
    assert ended["error"] == "PipelineCancelled"


async def test_a_task_that_takes_too_long_is_cancelled_and_tried_again_before_its_step_fails(
    pipelines: Pipelines,
) -> None:
    twice = {"max_attempts": 2, "backoff_seconds": 0, "on": ["timeout"]}
    id_ = await pipelines.submit(step("slow", content=SLOW, timeout_seconds=2, retry=twice))

    body = await pipelines.ends(id_)

    assert (body["status"], body["error"]["type"]) == ("failed", "timeout")
    assert [it.attempt for it in pipelines.store.assignments(PipelineKey(pipelines.owner, id_))] == [2]
    await pipelines.has_no_orphans(id_)


async def test_a_pipeline_past_its_deadline_fails_and_takes_its_tasks_along(pipelines: Pipelines) -> None:
    id_ = await pipelines.submit(
        step("slow", content=SLOW, on_failure="continue"),
        step("each", content=SLOW, foreach=[1]),
        deadline_seconds=3,
    )

    body = await pipelines.ends(id_)

    assert (body["status"], body["error"]["type"]) == ("failed", "deadline")
    await pipelines.has_no_orphans(id_)
    assert {task.status.value for task in pipelines.assigned(id_)} <= {"cancelled", "expired"}
    pipeline = pipelines.store.get(PipelineKey(pipelines.owner, id_))
    assert pipeline is not None
    assert (await pipelines.execution(pipelines.arn_of(pipeline), "FAILED"))["cause"].startswith("deadline")


async def test_executions_that_are_stopped_at_any_moment_leave_no_task_behind(pipelines: Pipelines) -> None:
    """Before the first state, while functions start tasks, while tasks run: whatever they come upon."""
    document = {"steps": [step("a", content=SLOW), step("b", content=SLOW, foreach=[1, 2])]}

    async def start_and_stop(seconds: float) -> str:
        name, arn = await pipelines.start("PipelineStateMachineArn", document)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(pipelines.states.stop_execution, executionArn=arn)
        return name

    names = await asyncio.gather(*(start_and_stop(moment) for moment in (0, 0.15, 0.4, 0.8, 1.4)))

    for name in names:
        if (
            pipelines.store.get(PipelineKey("account", name)) is not None
        ):  # else it was stopped before its first state
            assert (await pipelines.ends(name, owner="account"))["status"] == "cancelled"
            await pipelines.has_no_orphans(name, "account")


async def test_a_task_that_no_state_machine_waits_for_is_cancelled(pipelines: Pipelines) -> None:
    """As where a function died after it began a task, and its execution was stopped just then."""
    begun = now() - timedelta(minutes=10)
    task = Task(
        owner=pipelines.owner,
        id="orphan",
        runtime="nobody",
        type=TaskType.TEXT_TO_IMAGE,
        prefix="output",
        output_location=f"s3://{pipelines.stack.outputs['OutputS3Bucket']}/output/orphan",
        fingerprint="",
        created_at=begun,
        expires_at=begun + timedelta(days=1),
        content=TEXT,
        task_token="nobody waits with it",
    )
    pipelines.tasks.submit(task)
    (name,) = [it.name for it in pipelines.stack.functions if "BeatTasks" in it.name]

    await asyncio.to_thread(pipelines.user.client("lambda").invoke, FunctionName=name)

    found = pipelines.tasks.get(task.key)
    assert found is not None
    assert found.status is TaskStatus.CANCELLED


async def test_a_failed_pipeline_goes_on_from_its_failed_step_when_it_is_retried(
    pipelines: Pipelines, flaky: LoopbackServer
) -> None:
    id_ = await pipelines.submit(step("draft"), upscale("big", f"{flaky.url}/1/retried.png", needs=["draft"]))
    assert (await pipelines.ends(id_))["status"] == "failed"
    before = {task.step: task.id for task in pipelines.assigned(id_)}

    status, _, _ = await pipelines.user.call("POST", f"/v1/pipelines/{id_}/retry")
    body = await pipelines.ends(id_)

    assert (status, body["status"], body["run"]) == (202, "succeeded", 2)
    after = {task.step: task.id for task in pipelines.assigned(id_)}
    assert before["draft"] == after["draft"]
    assert before["big"] != after["big"]


async def test_an_execution_of_the_same_document_is_listed(pipelines: Pipelines) -> None:
    example = Path(__file__).parents[2] / "events" / "examples" / "pipeline.json"
    name, arn = await pipelines.start("PipelineStateMachineArn", json.loads(example.read_text()))

    output = json.loads((await pipelines.execution(arn, "SUCCEEDED"))["output"])

    assert (output["id"], output["status"]) == (name, "succeeded")
    _, listed, _ = await pipelines.user.call("GET", "/v1/pipelines?limit=100")
    assert name in [it["id"] for it in listed["items"]]


async def test_a_dead_letter_fails_the_step(pipelines: Pipelines) -> None:
    """As where every agent died at it: its message arrives in the dead letters, and no lease holds any more."""
    id_ = await pipelines.submit(step("draft", content=SLOW))
    (task,) = await pipelines.runs(id_)
    pipelines.tasks.apply(task.key, tasks.release(task.started_at or task.created_at, task.attempt))
    sqs, url = pipelines.user.client("sqs"), pipelines.user.registered()["agent"]["DARKROOM_QUEUE_URL"]
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    dead = f"{url.rpartition('/')[0]}/{json.loads(policy)['deadLetterTargetArn'].rpartition(':')[2]}"

    sqs.send_message(QueueUrl=dead, MessageBody=TaskMessage.of(task).to_json())

    assert (await pipelines.ends(id_))["error"]["type"] == "dead_letter"


async def test_every_start_and_end_is_told_on_the_bus_once(pipelines: Pipelines) -> None:
    sqs, events = pipelines.user.client("sqs"), pipelines.user.client("events")
    queue = sqs.create_queue(QueueName="pipeline-events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = {"Rule": "pipeline-events", "EventBusName": pipelines.stack.outputs["EventBusName"]}
    pattern = {"source": ["darkroom"], "detail-type": [{"prefix": "Pipeline"}, {"prefix": "Step"}]}
    events.put_rule(Name=rule["Rule"], EventBusName=rule["EventBusName"], EventPattern=json.dumps(pattern))
    events.put_targets(**rule, Targets=[{"Id": "queue", "Arn": arn}])
    told: list[tuple[str, str | None]] = []

    id_ = await pipelines.submit(
        step("good"), step("bad", needs=["good"], content=MISSING, on_failure="continue"), context={"order": 17}
    )

    async def look() -> bool | None:
        found = await asyncio.to_thread(sqs.receive_message, QueueUrl=queue, MaxNumberOfMessages=10)
        for message in found.get("Messages", []):
            event = json.loads(message["Body"])
            if event["detail"]["id"] == id_:
                told.append((event["detail-type"], event["detail"].get("step")))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return any(kind == "PipelineSucceeded" for kind, _ in told) or None

    await eventually(look, "the last event")
    assert sorted(told, key=str) == [
        ("PipelineStarted", None),
        ("PipelineSucceeded", None),
        ("StepFailed", "bad"),
        ("StepStarted", "bad"),
        ("StepStarted", "good"),
        ("StepSucceeded", "good"),
    ]


async def test_run_task_runs_one_task_and_ends_as_it_does(pipelines: Pipelines) -> None:
    task = {"runtime": "sdruntime", "type": "text-to-image", "content": TEXT}
    _, succeeds = await pipelines.start("RunTaskStateMachineArn", task)
    _, fails = await pipelines.start("RunTaskStateMachineArn", task | {"content": MISSING})
    _, wrong = await pipelines.start("RunTaskStateMachineArn", task | {"runtime": "typo"})
    slow = task | {"content": SLOW}
    _, late = await pipelines.start("RunTaskStateMachineArn", slow | {"timeout_seconds": 2})

    output = json.loads((await pipelines.execution(succeeds, "SUCCEEDED"))["output"])
    assert len(output["images"]) == 1
    assert (await pipelines.execution(fails, "FAILED"))["cause"].startswith("model_not_found")
    assert (await pipelines.execution(wrong, "FAILED"))["error"] == "TaskFailed"
    assert (await pipelines.execution(late, "FAILED"))["cause"].startswith("timeout")


async def test_a_wrong_document_is_a_400_with_the_path_of_every_fault(pipelines: Pipelines) -> None:
    body = {"steps": [step("a", runtime="typo"), upscale("b", "${c.images[0]}")]}

    status, problem, _ = await pipelines.user.call("POST", "/v1/pipelines", body)

    assert status == 400
    assert [it["field"] for it in problem["errors"]] == ["steps[0].runtime", "steps[1].content.image"]


async def test_a_saved_pipeline_runs_with_inputs_and_waits_as_the_caller_prefers(pipelines: Pipelines) -> None:
    document = {
        "inputs": {"prompt": {"type": "string"}},
        "steps": [step("a", content=TEXT | {"prompt": "${inputs.prompt}"})],
    }
    saved = await pipelines.user.call("PUT", "/v1/pipeline-definitions/poster", document)
    again = await pipelines.user.call("PUT", "/v1/pipeline-definitions/poster", document)
    headers = {"Content-Type": "application/json", "x-api-key": pipelines.user.cloud.api_key, "Prefer": "wait=20"}

    status, body, sent = await pipelines.user.call(
        "POST", "/v1/pipelines", {"definition": "poster", "inputs": {"prompt": "a ship"}}, headers
    )

    assert (saved[1], again[1]) == ({"name": "poster", "version": 1}, {"name": "poster", "version": 1})
    assert (status, body["status"], body["definition"], body["inputs"]) == (
        200,
        "succeeded",
        "poster@1",
        {"prompt": "a ship"},
    )
    assert sent["Preference-Applied"] == "wait=20"


async def test_the_command_line_validates_runs_watches_and_shows(pipelines: Pipelines, tmp_path: Path) -> None:
    user = pipelines.user
    environment = {"DARKROOM_URL": user.cloud.api_url, "DARKROOM_API_KEY": user.cloud.api_key}
    good, bad = tmp_path / "good.json", tmp_path / "bad.yaml"
    content = TEXT | {"prompt": "${inputs.prompt}"}
    good.write_text(json.dumps({"inputs": {"prompt": {"type": "string"}}, "steps": [step("a", content=content)]}))
    bad.write_text("steps: [{id: a, runtime: typo, type: text-to-image, content: {prompt: x}}]")

    async def darkroom(*arguments: str) -> tuple[int, str]:
        invoke = CliRunner().invoke
        result = await asyncio.to_thread(invoke, app, ["pipelines", *arguments], env=environment)
        return result.exit_code, result.output

    assert (await darkroom("validate", str(good)))[0] == 0
    code, output = await darkroom("validate", str(bad))
    assert (code, "steps[0].runtime" in output) == (2, True)
    code, output = await darkroom("run", str(good), "-i", "prompt=a ship", "--id", "by-cli", "--watch")
    assert code == 0, output
    assert "by-cli a succeeded" in output
    code, output = await darkroom("show", "by-cli", "--json")
    assert json.loads(output)["inputs"] == {"prompt": "a ship"}
    assert "by-cli" in (await darkroom("list"))[1]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_random_pipelines_end_as_the_interpreter_says(
    pipelines: Pipelines, flaky: LoopbackServer, seed: int
) -> None:
    """Each input is there after some failures. `tests/unit` runs many more of these on an engine of its own."""
    chance = random.Random(seed)  # noqa: S311  a test's choice
    failures = {f"s{number}": chance.choice([0, 0, 0, 1, 2, 9]) for number in range(10)}
    steps = [
        upscale(
            name,
            f"{flaky.url}/{count}/{seed}-{name}.png",
            needs=chance.sample(list(failures)[:number], min(number, 2)),
            retry={"max_attempts": chance.randint(1, 3), "backoff_seconds": 0},
            on_failure=chance.choice(["continue", "continue", "fail"]),
        )
        for number, (name, count) in enumerate(failures.items())
    ]
    meaning = interpret(read_document({"steps": steps}), lambda name, _: ["input_error"] * failures[name] + [None])

    id_ = await pipelines.submit(*steps)
    assert (await pipelines.ends(id_, 90))["status"] == meaning.status

    async def at_rest() -> JsonObject | None:  # a failed pipeline's other steps are cancelled after it has ended
        body = await pipelines.look(id_)
        return None if "running" in statuses(body).values() else body

    body = await eventually(at_rest, "no step to run any more")
    ended = {name: status for name, status in statuses(body).items() if status not in {"waiting", "cancelled"}}
    assert ended.items() <= meaning.steps.items()
    if meaning.status == "succeeded":
        assert ended == meaning.steps


async def test_a_webhook_hears_of_a_pipelines_end(pipelines: Pipelines) -> None:
    heard: list[JsonObject] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(await request.json())
        return web.Response()

    receiver = web.Application()
    receiver.router.add_post("/hook", hear)
    async with LoopbackServer(receiver) as server:
        id_ = await pipelines.submit(step("draft"), webhook={"url": f"{server.url}/hook"})

        async def look() -> bool | None:
            return bool(heard) or None

        assert await eventually(look, "the webhook")

    assert [(it["type"], it["data"]["id"], it["data"]["status"]) for it in heard] == [
        ("pipeline.succeeded", id_, "succeeded")
    ]
