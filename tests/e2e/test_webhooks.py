"""Webhooks on the local cloud: receivers on this machine that verify what they get."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.e2e.users import User, eventually
from tests.receivers import Receiver, raw, run_receiver, says

from darkroom.models import JsonObject, now
from darkroom.signatures import verify
from darkroom_local.events.queues import WAIT_SECONDS
from darkroom_local.processes import alive

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with run_receiver() as running:
        yield running


async def submit(user: User, id_: str, webhook: JsonObject, **content: Any) -> JsonObject:
    body = {
        "id": id_,
        "runtime": "sdruntime",
        "type": "text-to-image",
        "content": {"prompt": "A dog", "steps": 4} | content,
        "webhook": webhook,
    }
    status, answer, _ = await user.call("POST", "/v1/tasks", body)
    assert status == 202, answer
    return answer


async def secret(user: User, name: str = "default") -> JsonObject:
    status, answer, _ = await user.call("GET", f"/v1/webhooks/secrets/{name}")
    assert status == 200, answer
    return answer


async def receives(receiver: Receiver, count: int) -> list[JsonObject]:
    """The payloads that have come, once there are so many."""

    async def look() -> list[JsonObject] | None:
        return [json.loads(one.body) for one in receiver.received] if len(receiver.received) >= count else None

    return await eventually(look, f"{count} webhooks")


async def delivery(user: User, id_: str, state: str) -> JsonObject:
    """The one delivery of a task, once it is in this state."""

    async def look() -> JsonObject | None:
        _, answer, _ = await user.call("GET", f"/v1/tasks/{id_}/deliveries")
        found: list[JsonObject] = [one for one in answer["items"] if one["state"] == state]
        return found[0] if found else None

    return await eventually(look, f"a delivery of {id_} that is {state}")


async def test_a_receiver_hears_of_start_and_end_and_can_verify_both(user: User, receiver: Receiver) -> None:
    await submit(user, "hook-both", {"url": receiver.url, "events": ["task.started", "task.succeeded"]})

    started, succeeded = sorted(await receives(receiver, 2), key=lambda payload: str(payload["timestamp"]))

    assert (started["type"], started["data"]["status"]) == ("task.started", "running")
    assert (succeeded["type"], succeeded["data"]["status"]) == ("task.succeeded", "succeeded")
    assert len(succeeded["data"]["images"]) == 1
    _, listed, _ = await user.call("GET", "/v1/tasks?limit=100")
    assert succeeded["data"] in listed["items"]
    key = (await secret(user))["secret"]
    for one in receiver.received:
        verify(key, one.headers, one.body, now())
    done = await delivery(user, "hook-both", "delivered")
    assert [one["status"] for one in done["tries"]] == [204]


async def test_a_redirect_is_a_failure_that_is_not_followed_but_tried_again_with_the_same_id(
    user: User, receiver: Receiver
) -> None:
    with run_receiver() as elsewhere:
        receiver.answers = [says(307, location=elsewhere.url), says(200)]
        await submit(user, "hook-again", {"url": receiver.url})

        done = await delivery(user, "hook-again", "delivered")

        assert elsewhere.received == []
    assert [one["status"] for one in done["tries"]] == [307, 200]
    first, second = receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_a_receiver_that_is_gone_is_left_alone_and_the_bus_hears(user: User, receiver: Receiver) -> None:
    receiver.answers = [says(410)]
    queue = await asyncio.to_thread(listen, user, "WebhookFailed")
    await submit(user, "hook-gone", {"url": receiver.url})

    failed = await delivery(user, "hook-gone", "failed")

    assert [(one["status"], one["next_at"]) for one in failed["tries"]] == [(410, None)]
    event = await heard(user, queue, "hook-gone")
    assert (event["detail"]["id"], event["detail"]["status"]) == ("hook-gone", 410)
    assert event["detail"]["webhook_id"] == failed["webhook_id"] == receiver.received[0].headers["webhook-id"]


async def test_a_function_that_is_killed_while_it_delivers_delivers_again(user: User, receiver: Receiver) -> None:
    sqs = user.client("sqs")
    (url,) = [one for one in sqs.list_queues()["QueueUrls"] if "webhooksqueue" in one.lower()]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "3"})  # who has three minutes?
    await asyncio.sleep(WAIT_SECONDS + 0.5)  # the polls under way still have the old one
    receiver.answers = [raw(b"", pause=8), says(204)]
    await submit(user, "hook-killed", {"url": receiver.url})
    await receives(receiver, 1)
    kill_functions("WebhookFunction")

    await receives(receiver, 2)

    first, second = receiver.received[:2]
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert (await delivery(user, "hook-killed", "delivered"))["made"] == 1
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "180"})


async def test_progress_comes_in_steps_to_those_who_ask(user: User, receiver: Receiver) -> None:
    events = ["task.progress", "task.succeeded"]
    await submit(user, "hook-progress", {"url": receiver.url, "events": events}, steps=150, n_iter=3)

    async def look() -> list[JsonObject] | None:
        payloads = [json.loads(one.body) for one in receiver.received]
        return payloads if any(one["type"] == "task.succeeded" for one in payloads) else None

    payloads = await eventually(look, "the end")
    told = [payload["data"]["progress"] for payload in payloads if payload["type"] == "task.progress"]
    assert told
    assert len({int(progress * 10) for progress in told}) == len(told)


async def test_a_rotated_secret_signs_beside_the_old_one(user: User, receiver: Receiver) -> None:
    _, made, _ = await user.call("POST", "/v1/webhooks/secrets/rotating")
    _, rotated, _ = await user.call("POST", "/v1/webhooks/secrets/rotating")
    assert rotated["previous"] == made["secret"]
    await submit(user, "hook-rotated", {"url": receiver.url, "secret_ref": "rotating"})

    await receives(receiver, 1)

    (one,) = receiver.received
    for key in (made["secret"], rotated["secret"]):
        verify(key, one.headers, one.body, now())


@pytest.mark.parametrize(
    ("webhook", "field"),
    [
        ({"url": "https://169.254.169.254/latest"}, "webhook.url"),
        ({"url": "https://10.0.0.1/"}, "webhook.url"),
        ({"url": "http://example.com/"}, "webhook.url"),
        ({"url": "https://user:password@example.com/"}, "webhook.url"),
        ({"url": "https://example.com/", "events": ["task.finished"]}, "webhook.events[0]"),
        ({"url": "https://example.com/", "secret_ref": "a/b"}, "webhook.secret_ref"),
    ],
)
async def test_a_webhook_that_could_never_be_delivered_is_refused(
    user: User, webhook: JsonObject, field: str
) -> None:
    body = {"runtime": "sdruntime", "type": "text-to-image", "content": {"prompt": "A dog"}, "webhook": webhook}
    status, answer, headers = await user.call("POST", "/v1/tasks", body)

    assert (status, headers["Content-Type"]) == (400, "application/problem+json")
    assert [fault["field"] for fault in answer["errors"]] == [field]


async def test_deliveries_of_a_task_that_is_not_ones_own_are_not_found(user: User) -> None:
    status, answer, _ = await user.call("GET", "/v1/tasks/hook-nobodys/deliveries")

    assert (status, answer["type"]) == (404, "urn:darkroom:problem:task-not-found")


async def test_a_secret_that_was_never_made_is_not_found_and_a_wrong_name_is_refused(user: User) -> None:
    status, answer, _ = await user.call("GET", "/v1/webhooks/secrets/nobody")
    assert (status, answer["type"]) == (404, "urn:darkroom:problem:unknown-secret")

    status, answer, _ = await user.call("POST", "/v1/webhooks/secrets/a.b")
    assert (status, [fault["field"] for fault in answer["errors"]]) == (400, ["name"])


async def test_events_can_be_replayed_from_the_archive(user: User, receiver: Receiver) -> None:
    await submit(user, "hook-replayed", {"url": receiver.url})
    await receives(receiver, 1)
    queue = await asyncio.to_thread(listen, user, "TaskSucceeded")
    outputs, events = user.cloud.stack.outputs, user.client("events")
    bus = events.describe_event_bus(Name=outputs["EventBusName"])["Arn"]

    events.start_replay(
        ReplayName="again",
        EventSourceArn=outputs["EventArchiveArn"],
        EventStartTime=now() - timedelta(hours=1),
        EventEndTime=now(),
        Destination={"Arn": bus},
    )

    event = await heard(user, queue, "hook-replayed")
    assert event["replay-name"] == "again"
    assert event["detail"]["event_id"] == receiver.received[0].headers["webhook-id"]


async def heard(user: User, queue: str, id_: str) -> JsonObject:
    """The first event of a task in a queue."""
    sqs = user.client("sqs")

    async def look() -> JsonObject | None:
        answer = await asyncio.to_thread(sqs.receive_message, QueueUrl=queue, MaxNumberOfMessages=10)
        found: list[JsonObject] = [json.loads(message["Body"]) for message in answer.get("Messages", [])]
        return next((event for event in found if event["detail"]["id"] == id_), None)

    return await eventually(look, f"an event of {id_}")


def listen(user: User, detail_type: str) -> str:
    """A queue that gets the events of this type."""
    sqs, events = user.client("sqs"), user.client("events")
    bus = user.cloud.stack.outputs["EventBusName"]
    url: str = sqs.create_queue(QueueName=f"hear-{detail_type}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=url[-20:], EventBusName=bus, EventPattern=json.dumps({"detail-type": [detail_type]}))
    events.put_targets(Rule=url[-20:], EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return url


def kill_functions(name: str) -> None:
    """Kill the processes of one function, as a host that fails would."""
    found = [pid for pid, order in alive().items() if name in order.environment.get("AWS_LAMBDA_FUNCTION_NAME", "")]
    assert found
    for pid in found:
        os.killpg(pid, signal.SIGKILL)
