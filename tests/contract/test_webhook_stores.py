"""What webhooks stand on: secrets, the log of deliveries, the queue; in memory and on AWS alike."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.templates import template

from darkroom.aws import signing_keys
from darkroom.aws.delivery_log import DynamoDeliveryLog
from darkroom.aws.publishers import EventBridgeBus, SqsWebhookQueue
from darkroom.aws.signing_keys import SsmSigningKeys
from darkroom.deliveries import Delivery, DeliveryState, Reply, WebhookFailed
from darkroom.errors import InvalidRequestError, UnknownSecretError
from darkroom.notices import Notice
from darkroom.tasks import TaskKey
from darkroom.webhook_ports import DeliveryLog, SigningKeyStore
from darkroom.webhook_testing import InMemoryDeliveryLog, InMemorySigningKeys

Aws = Callable[..., Any]


@pytest.fixture
def ssm_keys(aws: Aws) -> SsmSigningKeys:
    return SsmSigningKeys(aws("ssm"), f"/stack-{uuid4().hex}/webhooks")


@pytest.fixture(params=["memory", "ssm"])
def keys(request: pytest.FixtureRequest) -> SigningKeyStore:
    return InMemorySigningKeys() if request.param == "memory" else request.getfixturevalue("ssm_keys")


@pytest.fixture
def dynamo_log(aws: Aws) -> DynamoDeliveryLog:
    """An empty table exactly as the template declares it."""
    declared = template("template")["Resources"]["DeliveriesTable"]["Properties"]
    client, name = aws("dynamodb"), f"deliveries-{uuid4().hex}"
    client.create_table(
        TableName=name, **{key: declared[key] for key in ("AttributeDefinitions", "KeySchema", "BillingMode")}
    )
    return DynamoDeliveryLog(client, name)


@pytest.fixture(params=["memory", "dynamodb"])
def log(request: pytest.FixtureRequest) -> DeliveryLog:
    return InMemoryDeliveryLog() if request.param == "memory" else request.getfixturevalue("dynamo_log")


def a_notice(at: datetime, **changes: Any) -> Notice:
    fields = {
        "owner": "key1",
        "task": "t",
        "webhook_id": uuid4(),
        "type": "task.succeeded",
        "url": "https://example.com",
        "body": "{}",
        "created_at": at,
    }
    return Notice(**(fields | changes))


def test_the_default_secret_comes_to_be_when_it_is_asked_for_and_stays(keys: SigningKeyStore) -> None:
    first = keys.get("key1", "default")

    assert first.current.startswith("whsec_")
    assert keys.get("key1", "default") == first
    assert keys.get("key2", "default") != first


def test_another_secret_is_its_owners_only_and_must_be_made(keys: SigningKeyStore) -> None:
    made = keys.rotate("key1", "other")

    assert keys.get("key1", "other") == made
    with pytest.raises(UnknownSecretError):
        keys.get("key2", "other")
    for name in ("another", "../key1/other", "a b", ""):
        with pytest.raises(UnknownSecretError):
            keys.get("key1", name)


def test_a_rotation_keeps_the_secret_until_now_for_a_day(keys: SigningKeyStore) -> None:
    old = keys.get("key1", "default")
    new = keys.rotate("key1", "default")

    assert new.previous == old.current
    assert keys.get("key1", "default") == new
    assert new.at(new.created_at) == (new.current, old.current)


def test_an_owner_has_no_more_than_ten_secrets_and_may_rotate_each(keys: SigningKeyStore) -> None:
    for number in range(10):
        keys.rotate("key1", f"s{number}")
    with pytest.raises(InvalidRequestError):
        keys.rotate("key1", "one-more")

    assert keys.rotate("key1", "s3").previous is not None
    assert keys.rotate("key2", "s1")


def test_a_secret_is_kept_encrypted(aws: Aws) -> None:
    path = f"/stack-{uuid4().hex}/webhooks"
    keys = SsmSigningKeys(aws("ssm"), path)
    keys.get("key1", "default")
    keys.rotate("key1", "other")

    for name in ("default", "other"):
        assert aws("ssm").get_parameter(Name=f"{path}/key1/{name}")["Parameter"]["Type"] == "SecureString"


def test_a_rotation_elsewhere_is_seen_when_the_cache_is_too_old(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/stack-{uuid4().hex}/webhooks"
    here, elsewhere = SsmSigningKeys(aws("ssm"), path), SsmSigningKeys(aws("ssm"), path)
    old = here.get("key1", "default")
    new = elsewhere.rotate("key1", "default")

    assert here.get("key1", "default") == old
    monkeypatch.setattr(signing_keys, "MAX_AGE", -1.0)
    assert here.get("key1", "default") == new


def test_of_two_that_make_the_default_secret_both_get_the_same(aws: Aws) -> None:
    path = f"/stack-{uuid4().hex}/webhooks"
    first, second = SsmSigningKeys(aws("ssm"), path), SsmSigningKeys(aws("ssm"), path)
    made = first.get("key1", "default")

    assert second._create(f"{path}/key1/default", "default") == made


def test_a_delivery_is_read_as_it_was_recorded(log: DeliveryLog, start: datetime) -> None:
    notice = a_notice(start)
    delivery = Delivery.of(notice).after(Reply(status=503), start, 0.25, 5)
    log.record(delivery)

    assert log.get(TaskKey("key1", "t"), notice.webhook_id) == delivery
    assert log.get(TaskKey("key2", "t"), notice.webhook_id) is None
    assert log.get(TaskKey("key1", "t"), UUID(int=0)) is None


def test_a_late_record_of_an_earlier_try_changes_nothing(log: DeliveryLog, start: datetime) -> None:
    notice = a_notice(start)
    first = Delivery.of(notice).after(Reply(status=503), start, 0.25, 5)
    second = first.after(Reply(status=204), start, 0.25, None)
    for one in (first, second, first, Delivery.of(notice.again(start)).after(Reply(status=500), start, 1, None)):
        log.record(one)

    found = log.get(TaskKey("key1", "t"), notice.webhook_id)
    assert found == second
    assert found.state is DeliveryState.DELIVERED


def test_a_tasks_deliveries_come_newest_first_and_are_its_owners_only(log: DeliveryLog, start: datetime) -> None:
    for minutes, owner in ((1, "key1"), (3, "key1"), (2, "key1"), (4, "key2")):
        notice = a_notice(start + timedelta(minutes=minutes), owner=owner)
        log.record(Delivery.of(notice).after(Reply(status=204), start, 0.1, None))

    found = log.of(TaskKey("key1", "t"))

    assert [one.created_at - start for one in found] == [timedelta(minutes=m) for m in (3, 2, 1)]


def test_a_delivery_leaves_the_log_two_weeks_after_its_last_try(
    aws: Aws, dynamo_log: DynamoDeliveryLog, start: datetime
) -> None:
    dynamo_log.record(Delivery.of(a_notice(start)).after(Reply(status=204), start, 0.1, None))

    (item,) = aws("dynamodb").scan(TableName=dynamo_log._table)["Items"]
    assert int(item["ttl"]["N"]) == int((start + timedelta(days=14)).timestamp())


@pytest.mark.parametrize(("wait", "delay"), [(0, "0"), (4.2, "5"), (900, "900"), (28_800, "900")])
def test_a_message_for_later_is_kept_back_for_as_long_as_sqs_can(
    aws: Aws, start: datetime, monkeypatch: pytest.MonkeyPatch, wait: float, delay: str
) -> None:
    client, sent = aws("sqs"), list[dict[str, Any]]()
    url = client.create_queue(QueueName=f"webhooks-{uuid4().hex}")["QueueUrl"]
    send = client.send_message

    def note(**call: Any) -> Any:
        sent.append(call)
        return send(**call)

    monkeypatch.setattr(client, "send_message", note)
    notice = a_notice(start)
    SqsWebhookQueue(client, url).send(notice, wait)

    (call,) = sent
    assert (str(call["DelaySeconds"]), call["MessageGroupId"]) == (delay, "key1")
    if wait == 0:
        (message,) = client.receive_message(QueueUrl=url)["Messages"]
        assert Notice.from_json(message["Body"]) == notice


def test_a_dead_letter_is_the_message_itself(aws: Aws, start: datetime) -> None:
    client = aws("sqs")
    url = client.create_queue(QueueName=f"webhooks-{uuid4().hex}")["QueueUrl"]
    notice = a_notice(start, made=11)
    SqsWebhookQueue(client, "", url).bury(notice)

    (message,) = client.receive_message(QueueUrl=url)["Messages"]
    assert Notice.from_json(message["Body"]) == notice


def test_a_failed_webhook_is_told_on_the_bus(aws: Aws, start: datetime) -> None:
    sqs, events, name = aws("sqs"), aws("events"), uuid4().hex
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.create_event_bus(Name=name)
    events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps({"detail-type": ["WebhookFailed"]}))
    events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "queue", "Arn": arn}])
    delivery = Delivery.of(a_notice(start)).after(Reply(status=410), start, 0.1, None)
    EventBridgeBus(events, name).put(WebhookFailed.of(delivery))

    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"])["detail"]["webhook_id"] == str(delivery.webhook_id)
