"""The main job on the local cloud: every part is the real one, but for AWS itself and the diffusion model."""

import asyncio
import base64
import io
import json
import os
import signal
from typing import Any

import pytest
from PIL import Image
from tests.e2e.users import User, children, eventually, v1alpha2

from darkroom.models import JsonObject

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


def png(side: int = 64, *, noise: bool = False) -> bytes:
    image = (
        Image.frombytes("RGB", (side, side), os.urandom(side * side * 3))
        if noise
        else Image.new("RGB", (side, side))
    )
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


async def ended_once(user: User, id_: str, status: str) -> JsonObject:
    """The callback of a task that ended in this status; it and the event came once."""
    callbacks, events = await user.hears(id_)
    assert [event["detail"]["status"] for event in events] == [status]
    assert len(callbacks) == 1
    return callbacks[0]


async def test_an_image_comes_of_a_request_and_everyone_is_told(user: User) -> None:
    answer = await user.submit("main-t2i")
    bucket = user.cloud.stack.outputs["OutputS3Bucket"]
    assert answer == {
        "id_task": "main-t2i",
        "id": "main-t2i",
        "runtime": "sdruntime",
        "output_location": f"s3://{bucket}/output/main-t2i",
    }

    task = await user.reaches("main-t2i", "succeeded", "failed")
    callback = await ended_once(user, "main-t2i", "succeeded")

    assert set(callback) == {"id", "result", "image_url", "output_url", "context"}
    assert (callback["result"], callback["context"]) == (True, {"abc": 123})
    (link,) = callback["image_url"]
    assert [image["uri"] for image in task["images"]] == [link]
    assert link.startswith(f"{answer['output_location']}/main-t2i-")
    assert Image.open(io.BytesIO(user.image(link))).size == (512, 512)
    output = json.loads(user.image(callback["output_url"]))
    assert "images" not in output
    assert json.loads(output["info"])["prompt"] == "A dog"


async def test_v1alpha1_finds_the_runtime_by_its_checkpoint(user: User) -> None:
    controls = {
        "task": "text-to-image",
        "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
        "id_task": "main-v1",
        "save_dir": "outputs",
    }
    status, answer, _ = await user.call(
        "POST", "/v1alpha1", {"alwayson_scripts": controls, "prompt": "A dog", "steps": 4}
    )

    bucket = user.cloud.stack.outputs["OutputS3Bucket"]
    assert (status, answer) == (
        200,
        {
            "id_task": "main-v1",
            "id": "main-v1",
            "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
            "output_location": f"s3://{bucket}/outputs/main-v1",
        },
    )
    assert (await ended_once(user, "main-v1", "succeeded"))["context"] == {}


async def test_a_large_content_takes_the_way_over_the_bucket(user: User) -> None:
    image = base64.b64encode(png(512, noise=True)).decode()
    assert len(image) > 200_000

    await user.submit("main-large", "extra-single-image", image=image, upscaler_1="Lanczos", upscaling_resize=2)

    callback = await ended_once(user, "main-large", "succeeded")
    assert Image.open(io.BytesIO(user.image(callback["image_url"][0]))).size == (1024, 1024)


async def test_a_missing_checkpoint_fails_the_task_and_its_owner_hears_why(user: User) -> None:
    await user.submit("main-missing", alwayson_scripts={"sd_model_checkpoint": "missing.safetensors"})

    callback = await ended_once(user, "main-missing", "failed")

    assert (callback["result"], callback["image_url"], callback["error"]["type"]) == (False, [], "model_not_found")
    assert "missing.safetensors" in callback["error"]["message"]
    assert "v1-5-pruned-emaonly" in callback["error"]["message"]


async def test_the_same_request_again_is_answered_and_not_run_twice_and_another_is_a_conflict(user: User) -> None:
    await user.submit("main-again", steps=50)
    await user.submit("main-again", steps=50)
    status, problem, _ = await user.call("POST", "/v1alpha2", v1alpha2("main-again", steps=51))

    assert (status, problem["type"]) == (409, "urn:darkroom:problem:task-conflict")
    await ended_once(user, "main-again", "succeeded")
    first = await user.task("main-again")

    await user.submit("main-again", steps=5)

    task = await user.reaches("main-again", "succeeded")
    assert task["created_at"] > first["created_at"]


@pytest.mark.parametrize(
    ("change", "kind", "field"),
    [
        pytest.param({"runtime": "typo"}, "unknown-runtime", "task.metadata.runtime", id="unknown runtime"),
        pytest.param({"id": "a/b"}, "invalid-request", "task.metadata.id", id="id that is no safe key"),
        pytest.param({"prefix": "../x"}, "invalid-request", "task.metadata.prefix", id="prefix upwards"),
        pytest.param({"prefix": "/x"}, "invalid-request", "task.metadata.prefix", id="prefix with a leading slash"),
        pytest.param({"tasktype": "sing"}, "invalid-request", "task.metadata.tasktype", id="unknown type"),
        pytest.param({"tasktype": None}, "invalid-request", "task.metadata.tasktype", id="type of the wrong type"),
    ],
)
async def test_bad_metadata_is_a_400_that_names_the_field(user: User, change: Any, kind: str, field: str) -> None:
    body = v1alpha2("main-bad")
    body["task"]["metadata"] |= change

    status, problem, headers = await user.call("POST", "/v1alpha2", body)

    assert (status, headers["Content-Type"]) == (400, "application/problem+json")
    assert (problem["type"], problem["status"]) == (f"urn:darkroom:problem:{kind}", 400)
    assert [error["field"] for error in problem["errors"]] == [field]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b"rubbish", "malformed-body", id="no JSON"),
        pytest.param(b"\xff\xfe", "malformed-body", id="no UTF-8"),
        pytest.param(b"", "malformed-body", id="nothing"),
        pytest.param(b'{"a": "' + b"x" * 4_200_000 + b'"}', "body-too-large", id="too large"),
        pytest.param(b'{"task": {"metadata": {}, "content": {}}}', "invalid-request", id="nothing in it"),
    ],
)
@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
async def test_a_bad_body_is_a_400(user: User, version: str, body: bytes, kind: str) -> None:
    status, problem, _ = await user.call("POST", f"/{version}", body)

    assert (status, problem["type"]) == (400, f"urn:darkroom:problem:{kind}")
    assert problem["errors"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "kind"),
    [
        pytest.param("POST", "/v1alpha2", {}, 401, "unauthorized", id="no key"),
        pytest.param("POST", "/v1alpha2", {"x-api-key": "wrong"}, 401, "unauthorized", id="wrong key"),
        pytest.param("GET", "/v1/nothing", None, 404, "not-found", id="unknown route"),
        pytest.param("GET", "/v1alpha2", None, 405, "method-not-allowed", id="wrong method"),
        pytest.param("DELETE", "/v1/health", None, 405, "method-not-allowed", id="another wrong method"),
        pytest.param("GET", "/v1/tasks/unknown", None, 404, "task-not-found", id="unknown task"),
    ],
)
async def test_what_is_no_valid_call_is_a_problem_of_its_own_status(
    user: User, method: str, path: str, headers: Any, status: int, kind: str
) -> None:
    got, problem, sent = await user.call(method, path, headers=headers)

    assert (got, problem["type"], problem["status"]) == (status, f"urn:darkroom:problem:{kind}", status)
    assert sent["Content-Type"].startswith("application/problem+json")


async def test_health_names_the_runtimes(user: User) -> None:
    status, body, _ = await user.call("GET", "/v1/health")

    assert (status, body["status"]) == (200, "ok")
    assert body["runtimes"] == {"sdruntime": "sdwebui", "comfy": "comfyui"}


async def test_a_task_whose_agent_is_killed_is_done_by_the_next_one_and_ends_once(user: User) -> None:
    await user.submit("main-killed", steps=150)
    await user.reaches("main-killed", "running")
    (agent,) = children("darkroom_agent", DARKROOM_RUNTIME_NAME="sdruntime")
    os.kill(agent, signal.SIGKILL)

    task = await user.reaches("main-killed", "succeeded", "failed")

    assert (task["status"], task["attempt"]) == ("succeeded", 2)
    assert len((await ended_once(user, "main-killed", "succeeded"))["image_url"]) == 1


async def test_a_message_that_comes_again_and_again_runs_its_task_once(user: User) -> None:
    await user.submit("main-repeated", steps=40)
    message = user.message("main-repeated")
    for _ in range(3):
        user.send(user.registered()["agent"]["DARKROOM_QUEUE_URL"], message)

    await ended_once(user, "main-repeated", "succeeded")

    assert (await user.task("main-repeated"))["attempt"] == 1


async def test_rubbish_in_the_queue_ends_in_the_dead_letters_and_holds_nobody_up(user: User) -> None:
    url = user.registered()["agent"]["DARKROOM_QUEUE_URL"]
    user.send(url, "rubbish")
    await user.submit("main-beside-rubbish")

    await ended_once(user, "main-beside-rubbish", "succeeded")

    sqs = user.client("sqs")
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    dead = url.rpartition("/")[0] + "/" + json.loads(policy)["deadLetterTargetArn"].rpartition(":")[2]

    async def look() -> bool | None:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = await asyncio.to_thread(sqs.get_queue_attributes, QueueUrl=dead, AttributeNames=names)
        return any(int(count) for count in counts["Attributes"].values()) or None

    assert await eventually(look, "the rubbish in the dead letters")


async def test_a_result_of_an_attempt_that_lost_its_task_does_not_count(user: User) -> None:
    await user.submit("main-late", steps=100)
    task = await user.reaches("main-late", "running")
    result = {
        "owner": user.key_id,
        "id": "main-late",
        "submission": task["created_at"],
        "attempt": task["attempt"] + 7,
        "outcome": "succeeded",
        "images": ["s3://nowhere/wrong.png"],
    }
    user.send(user.cloud.stack.outputs["ResultsQueueUrl"], json.dumps(result))

    callback = await ended_once(user, "main-late", "succeeded")

    assert "wrong.png" not in str(callback)


async def test_a_change_that_cannot_be_told_does_not_hold_up_others(user: User) -> None:
    user.client("dynamodb").put_item(
        TableName=user.cloud.stack.outputs["TasksTable"],
        Item={"pk": {"S": "broken"}, "status": {"S": "queued"}},
    )

    await user.submit("main-beside-broken")

    await ended_once(user, "main-beside-broken", "succeeded")
    assert any("change_set_aside" in line for _, line in user.logs)


async def test_a_task_past_its_deadline_expires(user: User) -> None:
    await user.submit("main-expired", steps=150, n_iter=10)
    await user.reaches("main-expired", "running")
    stack = user.cloud.stack
    user.client("dynamodb").update_item(
        TableName=stack.outputs["TasksTable"],
        Key={"pk": {"S": f"{user.key_id}/main-expired"}},
        UpdateExpression="SET expires_at = created_at",
    )
    (sweeper,) = [function.name for function in stack.functions if "SweepTasks" in function.name]
    await asyncio.to_thread(user.client("lambda").invoke, FunctionName=sweeper)

    callback = await ended_once(user, "main-expired", "expired")

    assert callback["error"]["type"] == "expired"
