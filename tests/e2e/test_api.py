"""`/v1` over HTTP on the local cloud, as its callers use it."""

import asyncio
import io
import json
import time
from typing import Any

import aiohttp
import pytest
from PIL import Image
from tests.e2e.users import User, eventually

from darkroom.models import JsonObject

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


def form(**changes: Any) -> JsonObject:
    return {"runtime": "sdruntime", "type": "text-to-image", "content": {"prompt": "A dog", "steps": 4}} | changes


def with_key(user: User, **headers: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "x-api-key": user.cloud.api_key, **headers}


async def fetch(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.read()


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(out, "PNG")
    return out.getvalue()


async def test_a_caller_who_waits_gets_the_image_with_one_request(user: User) -> None:
    status, task, headers = await user.call(
        "POST", "/v1/tasks", form(id="api-wait"), with_key(user, Prefer="wait=20")
    )

    assert (status, task["status"], headers["Preference-Applied"]) == (200, "succeeded", "wait=20")
    assert headers["Location"].endswith("/v1/tasks/api-wait")
    (image,) = task["images"]
    assert image["uri"].startswith("s3://")
    assert Image.open(io.BytesIO(await fetch(image["url"]))).size == (512, 512)
    assert "info" in json.loads(await fetch(task["output_download_url"]))
    assert [(it["number"], it["outcome"]) for it in task["attempts"]] == [(1, "succeeded")]
    assert all(task["timings"][phase] >= 0 for phase in ("queue", "download", "run", "upload"))


async def test_the_same_idempotency_key_is_the_same_task_even_when_both_come_at_once(user: User) -> None:
    headers = with_key(user, **{"Idempotency-Key": "api-key-1"})

    answers = await asyncio.gather(*(user.call("POST", "/v1/tasks", form(), headers) for _ in range(5)))
    status, problem, _ = await user.call("POST", "/v1/tasks", form(prefix="x"), headers)

    assert {answer[1]["id"] for answer in answers} == {answers[0][1]["id"]}
    assert {answer[0] for answer in answers} <= {200, 202}
    assert (status, problem["type"]) == (409, "urn:darkroom:problem:task-conflict")


async def test_a_cancelled_task_stays_cancelled_and_can_be_retried_and_deleted(user: User) -> None:
    await user.call("POST", "/v1/tasks", form(id="api-life", content={"prompt": "A", "steps": 150, "n_iter": 10}))
    await user.reaches("api-life", "running")
    status, _, _ = await user.call("DELETE", "/v1/tasks/api-life")
    assert status == 409

    for _ in range(2):
        status, task, _ = await user.call("POST", "/v1/tasks/api-life/cancel")
        assert (status, task["status"]) == (200, "cancelled")
    status, task, _ = await user.call("POST", "/v1/tasks/api-life/retry")
    assert (status, task["status"]) == (202, "queued")
    await user.reaches("api-life", "running")
    await user.call("POST", "/v1/tasks/api-life/cancel")

    assert (await user.call("DELETE", "/v1/tasks/api-life"))[0] == 204
    assert (await user.call("GET", "/v1/tasks/api-life"))[0] == 404


async def test_a_deleted_tasks_images_are_gone_and_no_late_word_revives_it(user: User) -> None:
    await user.call("POST", "/v1/tasks", form(id="api-gone"))
    task = await user.reaches("api-gone", "succeeded")

    assert (await user.call("DELETE", "/v1/tasks/api-gone"))[0] == 204

    async with aiohttp.ClientSession() as session, session.get(task["images"][0]["url"]) as answer:
        assert answer.status == 404
    late = {
        "owner": task["owner"],
        "id": "api-gone",
        "submission": task["created_at"],
        "attempt": task["attempt"],
        "outcome": "succeeded",
        "images": [],
    }
    url = user.cloud.stack.outputs["ResultsQueueUrl"]
    user.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(late))

    async def heard() -> bool | None:
        return any("result_refused" in line and "api-gone" in line for _, line in user.logs) or None

    assert await eventually(heard, "the late result to be refused")
    assert (await user.call("GET", "/v1/tasks/api-gone"))[0] == 404


async def test_an_upload_is_an_input_and_no_other_keys(user: User) -> None:
    status, upload, _ = await user.call(
        "POST", "/v1/uploads", {"filename": "in.png", "content_type": "image/png", "size": len(png())}
    )
    assert status == 201
    async with (
        aiohttp.ClientSession() as session,
        session.put(upload["url"], data=png(), headers=upload["headers"]) as answer,
    ):
        assert answer.status == 200
    content = {"image": upload["uri"], "upscaling_resize": 2, "upscaler_1": "Lanczos"}

    body = form(id="api-upload", type="extra-single-image", content=content)
    _, task, _ = await user.call("POST", "/v1/tasks", body, with_key(user, Prefer="wait=20"))
    operator = {"Content-Type": "application/json", "x-api-key": user.cloud.operator_key}
    status, problem, _ = await user.call("POST", "/v1/tasks", body, operator)

    assert task["status"] == "succeeded", task["error"]
    assert Image.open(io.BytesIO(await fetch(task["images"][0]["url"]))).size == (128, 128)
    assert (status, problem["errors"][0]["field"]) == (400, "content.image")


async def test_a_pipelines_step_cannot_name_another_owners_upload_whichever_way_the_name_comes(user: User) -> None:
    foreign = f"s3://{user.cloud.stack.outputs['OutputS3Bucket']}/uploads/somebody/1/a.png"

    def document(image: str, /, **inputs: Any) -> dict[str, Any]:
        step = {"id": "up", "runtime": "sdruntime", "type": "extra-single-image"}
        return {"inputs": inputs, "steps": [step | {"content": {"image": image, "upscaler_1": "Lanczos"}}]}

    for body, path in (
        (document(foreign), "steps[0].content.image"),
        (document("${inputs.image}", image=foreign), "inputs.image"),
    ):
        for method, route in (
            ("POST", "/v1/pipelines"),
            ("POST", "/v1/pipelines:validate"),
            ("PUT", "/v1/pipeline-definitions/foreign"),
        ):
            status, problem, _ = await user.call(method, route, body)
            assert (status, [it["field"] for it in problem["errors"]]) == (400, [path]), route

    put_together = document(foreign.replace("somebody", "${inputs.who}"), who="somebody")
    _, pipeline, _ = await user.call("POST", "/v1/pipelines", put_together, with_key(user, Prefer="wait=20"))

    assert pipeline["status"] == "failed", pipeline
    assert "another owner" in str(pipeline["error"])


async def test_parts_that_were_never_put_are_named_and_unknown_uploads_are_not_found(user: User) -> None:
    size = 64 * 1024 * 1024 + 1
    _, upload, _ = await user.call("POST", "/v1/uploads", {"filename": "big.bin", "size": size})
    done = {"uri": upload["uri"], "upload_id": upload["upload_id"], "parts": [{"number": 1, "etag": "x" * 32}]}

    status, problem, _ = await user.call("POST", "/v1/uploads:complete", done)
    unknown, _, _ = await user.call("POST", "/v1/uploads:complete", done | {"upload_id": "unknown"})

    assert (status, problem["errors"][0]["field"]) == (400, "parts")
    assert unknown == 404


async def test_a_batch_is_run_and_listed(user: User) -> None:
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1))
    tasks = [form(id=f"api-batch-{n}", prefix="batch") for n in range(5)]
    status, answer, _ = await user.call("POST", "/v1/tasks:batch", {"tasks": [*tasks, form(runtime="typo")]})
    assert (status, [item["status"] for item in answer["items"]]) == (200, [202] * 5 + [400])
    for task in tasks:
        await user.reaches(task["id"], "succeeded")

    path = f"/v1/tasks?since={began}&status=succeeded&type=text-to-image&runtime=sdruntime&limit=3"
    _, page, _ = await user.call("GET", path)
    _, rest, _ = await user.call("GET", f"{path}&cursor={page['next_cursor']}")

    listed = page["items"] + rest["items"]
    assert len(page["items"]) == 3
    assert {task["id"] for task in tasks} <= {item["id"] for item in listed}
    assert [item["created_at"] for item in listed] == sorted((it["created_at"] for it in listed), reverse=True)
    assert all("->txt2img->succeed->" in item["display_name"] for item in listed)


async def test_operators_see_everyones_tasks_and_others_do_not(user: User) -> None:
    await user.call("POST", "/v1/tasks", form(id="api-seen"))
    task = await user.task("api-seen")
    operator = {"x-api-key": user.cloud.operator_key}
    path = f"/v1/tasks/api-seen?owner={task['owner']}"

    assert (await user.call("GET", "/v1/tasks/api-seen", headers=operator))[0] == 404
    assert (await user.call("GET", path, headers=operator))[0] == 200
    assert (await user.call("GET", "/v1/tasks?owner=somebody"))[0] == 403
    assert (await user.call("POST", "/v1/runtimes/sdruntime/redrive"))[0] == 403
    assert (await user.call("POST", "/v1/runtimes/sdruntime/redrive", headers=operator))[0] == 200


async def test_runtimes_tell_how_they_fare(user: User) -> None:
    status, answer, _ = await user.call("GET", "/v1/runtimes")

    (runtime,) = [it for it in answer["runtimes"] if it["name"] == "sdruntime"]
    assert (status, runtime["type"], runtime["dynamic_model"]) == (200, "sdwebui", True)
    assert "text-to-image" in runtime["task_types"]
    assert runtime["health"]["backlog"] >= 0
    assert (await user.call("GET", "/v1/runtimes/sdruntime"))[1]["name"] == "sdruntime"
    assert (await user.call("GET", "/v1/runtimes/none"))[0] == 404


async def test_the_reference_is_there_for_everyone(user: User) -> None:
    status, document, _ = await user.call("GET", "/v1/openapi.json", headers={})
    page = await fetch(f"{user.cloud.api_url}/v1/docs")

    assert (status, document["openapi"]) == (200, "3.1.0")
    assert document["servers"] == [{"url": user.cloud.api_url}]
    assert b"<h1>Darkroom API</h1>" in page


async def test_a_refusal_names_its_request_and_a_throttled_one_says_when_to_come_again(user: User) -> None:
    _, problem, headers = await user.call("POST", "/v1/tasks", b'{"a": 1, "a": 2}')
    assert problem["request_id"] == headers["x-amzn-RequestId"]
    (api,) = user.cloud.stack.rest_apis

    assert {"Retry-After", "RateLimit-Policy"} <= set(api.responses["THROTTLED"].headers)
