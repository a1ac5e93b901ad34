"""The API function, called as API Gateway calls it, on an emulated AWS."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import botocore.client
import pytest
from bench.api.inprocess import BUCKET, FOLDER, OPERATOR, Api, run_api, settings

from darkroom import tasks
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.bodies import MAX_BODY
from darkroom.models import JsonObject, now
from darkroom.tasks import TaskError, TaskKey

LEASE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def api(aws: Callable[..., Any]) -> Iterator[Api]:
    with run_api(aws("sts").meta.endpoint_url) as running:
        yield running


@pytest.fixture
def store(api: Api) -> DynamoTaskStore:
    return DynamoTaskStore(api.client("dynamodb"), api.table)


def form(**changes: Any) -> JsonObject:
    return {"runtime": "sdruntime", "type": "text-to-image", "content": {"prompt": "A dog"}} | changes


@contextmanager
def calls_to_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The operations that are called meanwhile."""
    made: list[str] = []
    client: Any = botocore.client.BaseClient
    call = client._make_api_call

    def record(self: Any, operation: str, parameters: Any) -> Any:
        made.append(operation)
        return call(self, operation, parameters)

    with monkeypatch.context() as patch:
        patch.setattr(client, "_make_api_call", record)
        yield made


def test_a_submit_is_accepted_with_the_task_and_where_it_is_to_be_found(api: Api) -> None:
    answer = api.call("POST", "/v1/tasks", form(id="accepted", context={"n": 1}, priority="high"))

    assert (answer.status, answer.headers["Location"]) == (202, "/prod/v1/tasks/accepted")
    assert (answer.body["status"], answer.body["context"], answer.body["priority"]) == ("queued", {"n": 1}, "high")
    assert answer.body == api.call("GET", "/v1/tasks/accepted").body | {"queue_position": None}


def test_a_warm_submit_costs_one_write_and_no_other_call(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.call("POST", "/v1/tasks", form())

    with calls_to_aws(monkeypatch) as made:
        answers = [
            api.call("POST", "/v1/tasks", form()),
            api.call("POST", "/v1/tasks", form(), headers={"Idempotency-Key": "warm"}),
            api.call("POST", "/v1/tasks", form(), headers={"Idempotency-Key": "warm"}),
        ]

    assert [answer.status for answer in answers] == [202, 202, 202]
    assert made == ["PutItem"] * 3


def test_a_cold_start_imports_nothing_that_a_submit_does_not_need() -> None:
    listing = "import sys, app; print(*sys.modules, sep=chr(10))"
    with settings("http://localhost"):
        command = [sys.executable, "-c", listing]
        run = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=True)  # noqa: S603  our own
    late = (
        "aws_xray_sdk",
        "darkroom.pipelines",
        "darkroom.deliveries",
        "darkroom.runtime_desk",
        "darkroom.uploads",
    )

    assert [name for name in run.stdout.splitlines() if name.startswith((*late, "jsonschema"))] == []


def test_an_id_of_ours_is_a_ulid_and_sorts_by_time(api: Api) -> None:
    first, second = (api.call("POST", "/v1/tasks", form()).body["id"] for _ in range(2))

    assert len(first) == len(second) == 26
    assert first[:10] <= second[:10]


def test_the_same_key_and_body_give_the_same_answer_and_another_body_a_conflict(api: Api) -> None:
    headers = {"Idempotency-Key": "order-7"}
    first = api.call("POST", "/v1/tasks", form(), headers)
    again = api.call("POST", "/v1/tasks", form(), headers)
    other = api.call("POST", "/v1/tasks", form(prefix="elsewhere"), headers)
    foreign = api.call("POST", "/v1/tasks", form(), headers, key_id="key2")

    assert (again.status, again.body) == (first.status, first.body)
    assert (other.status, other.body["type"]) == (409, "urn:darkroom:problem:task-conflict")
    assert foreign.body["id"] != first.body["id"]


def test_an_ended_task_is_answered_again_and_not_replaced(api: Api, store: DynamoTaskStore) -> None:
    api.call("POST", "/v1/tasks", form(id="kept"))
    store.apply(TaskKey("key1", "kept"), tasks.cancel(now()))

    again = api.call("POST", "/v1/tasks", form(id="kept"))

    assert (again.status, again.body["status"]) == (200, "cancelled")
    assert api.call("POST", "/v1/tasks", form(id="kept", prefix="x")).status == 409


def test_a_key_that_is_none_is_named(api: Api) -> None:
    answer = api.call("POST", "/v1/tasks", form(), {"Idempotency-Key": "two words"})

    assert (answer.status, answer.body["errors"][0]["field"]) == (400, "Idempotency-Key")


def test_a_wait_ends_with_the_task_and_says_that_it_was_made(
    api: Api, store: DynamoTaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chalicelib import wiring  # noqa: PLC0415  the function's own module, there while it runs

    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            store.apply(TaskKey("key1", "awaited"), tasks.cancel(now()))

    monkeypatch.setattr(wiring, "tasks", type(wiring.tasks)(wiring.store, wiring.submissions, sleep))
    answer = api.call("POST", "/v1/tasks", form(id="awaited"), {"Prefer": "respond-async, wait=99"})

    assert (answer.status, answer.body["status"]) == (200, "cancelled")
    assert answer.headers["Preference-Applied"] == "wait=25"
    assert slept == sorted(slept)
    assert len(slept) == 3


def test_a_wait_in_vain_is_a_202_and_keeps_to_the_functions_time(api: Api) -> None:
    api.context.remaining = 3.5
    answer = api.call("POST", "/v1/tasks", form(), {"Prefer": "wait=20"})
    api.context.remaining = 30.0

    assert (answer.status, answer.headers["Preference-Applied"]) == (202, "wait=1")


@pytest.mark.parametrize("prefer", ["wait", "wait=soon", "wait=-1", "handling=strict", ""])
def test_a_preference_that_is_none_is_ignored(api: Api, prefer: str) -> None:
    answer = api.call("POST", "/v1/tasks", form(), {"Prefer": prefer})

    assert (answer.status, "Preference-Applied" in answer.headers) == (202, False)


def test_a_list_is_followed_by_its_cursors(api: Api) -> None:
    ids = [api.call("POST", "/v1/tasks", form(), key_id="lister").body["id"] for _ in range(5)]
    seen, cursor = [], ""
    while True:
        page = api.call("GET", f"/v1/tasks?limit=2{cursor}", key_id="lister").body
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert sorted(seen) == sorted(ids)
    assert len(seen) == 5


def test_a_page_costs_two_calls(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        api.call("POST", "/v1/tasks", form(), key_id="pager")

    with calls_to_aws(monkeypatch) as made:
        for query in ("limit=3", "limit=3&status=queued&type=text-to-image", "limit=100"):
            assert api.call("GET", f"/v1/tasks?{query}", key_id="pager").status == 200

    assert made == ["Query", "BatchGetItem"] * 3


@pytest.mark.parametrize(
    ("query", "field"),
    [
        pytest.param("limit=0", "limit", id="no tasks"),
        pytest.param("limit=101", "limit", id="too many tasks"),
        pytest.param("limit=ten", "limit", id="no number"),
        pytest.param("limit=1&limit=2", "limit", id="given twice"),
        pytest.param("cursor=rubbish", "cursor", id="no cursor"),
        pytest.param("cursor=MjAyNi0wMS0wMVQwMDowMDowMC4wMDBaL2Ev", "cursor", id="a cursor of an id that is none"),
        pytest.param("status=lost", "status[0]", id="unknown status"),
        pytest.param("status=queued&type=", "type[0]", id="no type"),
        pytest.param("since=yesterday", "since", id="no time"),
        pytest.param("since=2026-01-01T00:00:00", "since", id="a time without a zone"),
        pytest.param("since=0001-01-01T00:00:00%2B14:00", "since", id="before all time"),
        pytest.param("staus=queued", "staus", id="unknown parameter"),
    ],
)
def test_a_wrong_query_is_named(api: Api, query: str, field: str) -> None:
    answer = api.call("GET", f"/v1/tasks?{query}")

    assert (answer.status, [fault["field"] for fault in answer.body["errors"]]) == (400, [field])


def test_owners_see_their_own_tasks_and_operators_everyones(api: Api) -> None:
    api.call("POST", "/v1/tasks", form(id="mine"), key_id="owner1")
    ask = "/v1/tasks/mine?owner=owner1"

    assert api.call("GET", "/v1/tasks/mine", key_id="owner2").status == 404
    assert api.call("GET", ask, key_id="owner2").status == 403
    assert api.call("GET", "/v1/tasks?owner=owner1", key_id="owner2").status == 403
    assert api.call("GET", ask, key_id="owner1").status == 200
    assert api.call("GET", ask, key_id=OPERATOR).status == 200
    (item,) = api.call("GET", "/v1/tasks?owner=owner1", key_id=OPERATOR).body["items"]
    assert (item["id"], item["owner"]) == ("mine", "owner1")
    assert api.call("GET", "/v1/tasks", key_id=OPERATOR).body["items"] == []
    cancelled = api.call("POST", "/v1/tasks/mine/cancel?owner=owner1", key_id=OPERATOR)
    assert (cancelled.status, cancelled.body["status"]) == (200, "cancelled")


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/pipelines", "/v1/tasks/mine"])
@pytest.mark.parametrize("owner", ["", "a" * 3000], ids=["empty", "longer than a key of the table"])
def test_an_owner_that_no_key_can_be_is_refused(api: Api, path: str, owner: str) -> None:
    answer = api.call("GET", f"{path}?owner={owner}", key_id=OPERATOR)

    assert (answer.status, [fault["field"] for fault in answer.body["errors"]]) == (400, ["owner"])


def test_a_cancel_may_be_repeated_and_leaves_an_end_as_it_is(api: Api, store: DynamoTaskStore) -> None:
    api.call("POST", "/v1/tasks", form(id="done"))
    store.apply(TaskKey("key1", "done"), tasks.claim(now(), LEASE))
    store.apply(TaskKey("key1", "done"), tasks.succeed(now(), 1, images=(), output_url=None, timings=None))

    answers = [api.call("POST", "/v1/tasks/done/cancel") for _ in range(2)]

    assert [(answer.status, answer.body["status"]) for answer in answers] == [(200, "succeeded")] * 2
    assert api.call("POST", "/v1/tasks/nothing/cancel").status == 404


def test_a_failed_task_is_submitted_again_with_its_content_and_tells_of_its_attempts(
    api: Api, store: DynamoTaskStore
) -> None:
    key = TaskKey("key1", "again")
    api.call("POST", "/v1/tasks", form(id="again", content={"prompt": "x" * 250_000}, deadline_seconds=60))
    store.apply(key, tasks.claim(now(), LEASE))
    store.apply(key, tasks.fail(now(), 1, TaskError(type="bad", message="no")))
    failed = api.call("GET", "/v1/tasks/again").body
    assert [(a["number"], a["outcome"], a["error"]["type"]) for a in failed["attempts"]] == [(1, "failed", "bad")]

    answer = api.call("POST", "/v1/tasks/again/retry")

    task = store.get(key)
    assert task is not None
    assert (answer.status, answer.body["status"], answer.body["error"]) == (202, "queued", None)
    assert answer.body["created_at"] > failed["created_at"]
    assert (task.expires_at - task.created_at).total_seconds() == 60
    assert task.content_ref is not None
    s3_key = task.content_ref.removeprefix(f"s3://{BUCKET}/")
    content = api.client("s3").get_object(Bucket=BUCKET, Key=s3_key)["Body"].read()
    assert json.loads(content) == {"prompt": "x" * 250_000}


def test_what_waits_or_succeeded_is_not_retried(api: Api) -> None:
    api.call("POST", "/v1/tasks", form(id="waits"))

    answer = api.call("POST", "/v1/tasks/waits/retry")

    assert (answer.status, answer.body["type"]) == (409, "urn:darkroom:problem:task-not-retryable")


def test_a_deleted_task_is_gone_with_its_files_and_no_others(api: Api, store: DynamoTaskStore) -> None:
    key, folder = TaskKey("key1", "gone"), f"s3://{BUCKET}/output/gone"
    api.call("POST", "/v1/tasks", form(id="gone", content={"prompt": "x" * 250_000}))
    claimed = store.apply(key, tasks.claim(now(), LEASE))
    for name in ("gone-abcd-1.png", "gone-abcd.out", "gone-zzzz-1.png"):
        api.client("s3").put_object(Bucket=BUCKET, Key=f"output/gone/{name}", Body=b"x")
    images, output = (f"{folder}/gone-abcd-1.png",), f"{folder}/gone-abcd.out"
    unfinished = api.call("DELETE", "/v1/tasks/gone")
    store.apply(key, tasks.succeed(now(), 1, images=images, output_url=output, timings=None))

    answer = api.call("DELETE", "/v1/tasks/gone")

    assert (unfinished.status, unfinished.body["type"]) == (409, "urn:darkroom:problem:task-unfinished")
    assert answer.status == 204
    assert api.call("GET", "/v1/tasks/gone").status == 404
    assert api.call("DELETE", "/v1/tasks/gone").status == 404
    assert claimed.content_ref is not None
    left = api.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    names = {item["Key"] for item in left if "gone" in item["Key"]}
    assert names == {"output/gone/gone-zzzz-1.png"}


def test_a_batch_answers_for_each_task(api: Api) -> None:
    api.call("POST", "/v1/tasks", form(id="b0"))
    forms = [form(id="b1"), form(runtime="typo"), {"content": {}}, form(id="b0", prefix="x")]

    answer = api.call("POST", "/v1/tasks:batch", {"tasks": forms})

    assert answer.status == 200
    assert [item["status"] for item in answer.body["items"]] == [202, 400, 400, 409]
    assert answer.body["items"][0]["task"]["id"] == "b1"
    assert answer.body["items"][1]["problem"]["type"] == "urn:darkroom:problem:unknown-runtime"
    assert {fault["field"] for fault in answer.body["items"][2]["problem"]["errors"]} == {"runtime", "type"}


def test_a_batch_with_a_key_is_the_same_batch_again(api: Api) -> None:
    ids = [
        [
            item["task"]["id"]
            for item in api.call("POST", "/v1/tasks:batch", body, {"Idempotency-Key": "k"}).body["items"]
        ]
        for body in [{"tasks": [form(), form()]}] * 2
    ]

    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_has_its_limits(api: Api, count: int) -> None:
    answer = api.call("POST", "/v1/tasks:batch", {"tasks": [form()] * count})

    assert (answer.status, answer.body["errors"][0]["field"]) == (400, "tasks")


def test_an_upload_is_put_by_its_link_and_named_by_its_owner_only(api: Api) -> None:
    upload = api.call("POST", "/v1/uploads", {"filename": "a cat.png", "content_type": "image/png", "size": 3})
    assert upload.status == 201
    uri = upload.body["uri"]
    assert uri.startswith(f"s3://{BUCKET}/uploads/key1/")
    image = {"type": "extra-single-image", "content": {"image": uri, "upscaler_1": "Lanczos"}}

    own = api.call("POST", "/v1/tasks", form(**image))
    foreign = api.call("POST", "/v1/tasks", form(**image), key_id="key2")

    assert own.status == 202
    assert (foreign.status, foreign.body["errors"][0]["field"]) == (400, "content.image")


def test_a_large_upload_goes_in_parts_and_is_put_together(api: Api) -> None:
    upload = api.call("POST", "/v1/uploads", {"filename": "large.tif", "size": 64 * 1024 * 1024 + 5}).body
    assert (upload["url"], [part["size"] for part in upload["parts"]]) == (None, [64 * 1024 * 1024, 5])
    key = upload["uri"].removeprefix(f"s3://{BUCKET}/")
    s3, parts = api.client("s3"), []
    for number, body in ((1, b"x" * 5 * 1024 * 1024), (2, b"yyyyy")):
        put = s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload["upload_id"], PartNumber=number, Body=body)
        parts.append({"number": number, "etag": put["ETag"]})
    done = {"uri": upload["uri"], "upload_id": upload["upload_id"], "parts": parts}

    wrong = api.call("POST", "/v1/uploads:complete", done | {"parts": [{"number": 1, "etag": "nonsense"}]})
    foreign = api.call("POST", "/v1/uploads:complete", done, key_id="key2")
    answer = api.call("POST", "/v1/uploads:complete", done)

    assert (wrong.status, wrong.body["errors"][0]["field"]) == (400, "parts")
    assert (foreign.status, foreign.body["type"]) == (404, "urn:darkroom:problem:upload-not-found")
    assert (answer.status, answer.body) == (200, {"uri": upload["uri"]})
    assert s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == 5 * 1024 * 1024 + 5


def test_a_runtime_tells_how_it_fares(api: Api, store: DynamoTaskStore) -> None:
    key = TaskKey("runner", "took")
    api.call("POST", "/v1/tasks", form(id="took"), key_id="runner")
    start = now()
    store.apply(key, tasks.claim(start, LEASE))
    store.apply(key, tasks.succeed(start + timedelta(seconds=8), 1, images=(), output_url=None, timings=None))
    queue = api.client("sqs").get_queue_url(QueueName="sdruntime")["QueueUrl"]
    for _ in range(3):
        api.client("sqs").send_message(QueueUrl=queue, MessageBody="{}")
    api.client("sqs").receive_message(QueueUrl=queue)
    forget_depths()

    answer = api.call("GET", "/v1/runtimes/sdruntime", key_id="runner")

    health = answer.body["health"]
    assert (health["backlog"], health["in_flight"], health["dead_letters"]) == (2, 1, 0)
    assert health["estimated_start_seconds"] == 16.0
    assert health["oldest_age_seconds"] >= 0
    assert api.call("GET", "/v1/runtimes").body["runtimes"][0]["name"] == "sdruntime"
    assert api.call("GET", "/v1/runtimes/none").status == 404
    waiting = api.call("POST", "/v1/tasks", form(), key_id="runner").body["id"]
    assert api.call("GET", f"/v1/tasks/{waiting}", key_id="runner").body["queue_position"] == 2


def test_operators_put_dead_letters_back(api: Api) -> None:
    sqs = api.client("sqs")
    queue, dead = (sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in ("sdruntime", "sdruntime-dead"))
    sqs.purge_queue(QueueUrl=queue)
    attribute = {"runtime": {"DataType": "String", "StringValue": "sdruntime"}}
    sqs.send_message(QueueUrl=dead, MessageBody="letter", MessageAttributes=attribute)

    assert api.call("POST", "/v1/runtimes/sdruntime/redrive").status == 403
    answer = api.call("POST", "/v1/runtimes/sdruntime/redrive", key_id=OPERATOR)

    assert (answer.status, answer.body) == (200, {"moved": 1})
    (message,) = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"])["Messages"]
    assert (message["Body"], message["MessageAttributes"]["runtime"]["StringValue"]) == ("letter", "sdruntime")
    assert api.call("POST", "/v1/runtimes/sdruntime/redrive", key_id=OPERATOR).body == {"moved": 0}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b'{"runtime": "a", "runtime": "b"}', "malformed-body", id="a name that comes twice"),
        pytest.param(b'{"content": {"seed": 9223372036854775808}}', "malformed-body", id="an integer of 65 bits"),
        pytest.param(b'{"content": {"seed": 1e400}}', "malformed-body", id="a number beyond all numbers"),
        pytest.param(b'{"content": {"seed": NaN}}', "malformed-body", id="NaN"),
        pytest.param(b'{"a":' * 65 + b"1" + b"}" * 65, "malformed-body", id="deep objects"),
        pytest.param(b'{"a": "\\ud800"}', "malformed-body", id="half a character"),
        pytest.param(b"\xef\xbb\xbf{}", "malformed-body", id="a byte order mark"),
        pytest.param(b'{"a": "' + b"x" * MAX_BODY + b'"}', "body-too-large", id="too large"),
        pytest.param(b"[]", "malformed-body", id="a list"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/tasks:batch", "/v1/uploads", "/v1alpha2"])
def test_a_body_that_readers_could_take_for_different_things_is_refused(
    api: Api, path: str, body: bytes, kind: str
) -> None:
    answer = api.call("POST", path, body)

    assert (answer.status, answer.body["type"]) == (400, f"urn:darkroom:problem:{kind}")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["request_id"] == "request-1"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"id": "a/b"}, "id", id="an id that is no safe key"),
        pytest.param({"prefix": "uploads/x"}, "prefix", id="the folder of uploads"),
        pytest.param({"deadline_seconds": 0}, "deadline_seconds", id="no time"),
        pytest.param({"deadline_seconds": 1209601}, "deadline_seconds", id="more time than a queue has"),
        pytest.param({"deadline_seconds": "60"}, "deadline_seconds", id="a text for a number"),
        pytest.param({"priority": "urgent"}, "priority", id="unknown priority"),
        pytest.param({"webhook": {"url": "ftp://example.com"}}, "webhook.url", id="no web address"),
        pytest.param(
            {"webhook": {"url": "https://example.com", "events": ["task.lost"]}}, "webhook.events[0]", id="event"
        ),
        pytest.param({"output": {"format": "bmp"}}, "output.format", id="unknown format"),
        pytest.param({"output": {"quality": 101}}, "output.quality", id="quality"),
        pytest.param({"deadline": 60}, "deadline", id="a field that is not known"),
        pytest.param(
            {"model": "a", "content": {"override_settings": {"sd_model_checkpoint": "b"}}}, "model", id="models"
        ),
        pytest.param({"content": {"steps": 151}}, "content.steps", id="too many steps"),
        pytest.param(
            {"content": {"sampler_name": "Euler z"}}, "content.sampler_name", id="a sampler that it lacks"
        ),
        pytest.param(
            {"type": "extra-single-image", "content": {"image": "https://x/y.png", "upscaler_1": "Lanczus"}},
            "content.upscaler_1",
            id="an upscaler that it lacks",
        ),
        pytest.param(
            {"content": {"prompt": "", "nested": [{"x": f" S3://{BUCKET}/uploads/key2/1/a.png"}]}},
            "content.nested[0].x",
            id="another owner's upload, deep down",
        ),
        pytest.param(
            {"content": {"prompt": "", "x": f"s3://{BUCKET}/.requests/key2/a/b.json"}}, "content.x", id="a request"
        ),
    ],
)
def test_a_wrong_field_is_named(api: Api, change: dict[str, Any], field: str) -> None:
    answer = api.call("POST", "/v1/tasks", form(**change))

    assert (answer.status, [fault["field"] for fault in answer.body["errors"]]) == (400, [field])


def test_known_tools_pass(api: Api) -> None:
    content = {"image": "https://x/y.png", "upscaler_1": "Lanczos", "upscaler_2": "None"}

    assert api.call("POST", "/v1/tasks", form(type="extra-single-image", content=content)).status == 202
    assert api.call("POST", "/v1/tasks", form(content={"sampler_name": "euler A"})).status == 202


def test_an_answer_of_aws_that_asks_for_patience_is_a_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib import wiring  # noqa: PLC0415  the function's own module, there while it runs

    def throttle(*_: Any, **__: Any) -> None:
        raise botocore.exceptions.ClientError({"Error": {"Code": "ThrottlingException"}}, "PutItem")

    monkeypatch.setattr(wiring.store._client, "put_item", throttle)
    answer = api.call("POST", "/v1/tasks", form())

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert answer.body["type"] == "urn:darkroom:problem:unavailable"


def test_a_display_name_is_in_the_words_of_the_list_of_inference_jobs(api: Api, store: DynamoTaskStore) -> None:
    image = {"image": "https://x/y.png"}
    for id_, type_, content in (
        ("n1", "text-to-image", {"prompt": "x"}),
        ("n2", "image-to-image", {"init_images": ["https://x/y.png"]}),
        ("n3", "interrogate", image),
        ("n4", "interrogate", image | {"model": "deepdanbooru"}),
        ("n5", "extra-single-image", image),
    ):
        assert (
            api.call("POST", "/v1/tasks", form(id=id_, type=type_, content=content), key_id="names").status == 202
        )
    store.apply(TaskKey("names", "n1"), tasks.claim(now(), LEASE))
    store.apply(TaskKey("names", "n1"), tasks.succeed(now(), 1, images=(), output_url=None, timings=None))
    store.apply(TaskKey("names", "n2"), tasks.cancel(now()))

    items = api.call("GET", "/v1/tasks", key_id="names").body["items"]

    assert sorted(item["display_name"].partition("->")[2] for item in items) == [
        "extra-single-image->in progress->n5",
        "img2img->fail->n2",
        "interrogate_clip->in progress->n3",
        "interrogate_deepbooru->in progress->n4",
        "txt2img->succeed->n1",
    ]


def forget_depths() -> None:
    """Counts of queues are used again for some seconds."""
    import chalicelib.more_wiring as wiring  # noqa: PLC0415  the function's own module, there while it runs

    queues: Any = wiring.runtimes.queues
    queues._depths.clear()
