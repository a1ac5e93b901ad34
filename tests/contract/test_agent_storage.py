"""What the agent relies on in its adapters of S3 and SQS, against servers that speak their protocols."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from darkroom.aws.blob_store import S3BlobStore
from darkroom.aws.multipart import THRESHOLD
from darkroom.errors import BlobTooLargeError
from darkroom.messages import TaskResult
from darkroom.models import now
from darkroom.ports import BlobStore
from darkroom.testing import InMemoryBlobStore
from darkroom_agent.queues import SqsInbox, SqsResultQueue


@pytest.fixture(params=["memory", "s3"])
def blobs(request: pytest.FixtureRequest, aws: Callable[..., Any]) -> tuple[BlobStore, str]:
    """Each store in turn, and a link in it."""
    if request.param == "memory":
        return InMemoryBlobStore(), "s3://bucket/file"
    client, bucket = aws("s3"), f"bucket-{uuid4().hex}"
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return S3BlobStore(client), f"s3://{bucket}/file"


def test_what_is_created_is_not_overwritten(blobs: tuple[BlobStore, str]) -> None:
    store, link = blobs
    store.create(link, b"first", "text/plain", {"task-id": "1"})
    with pytest.raises(FileExistsError):
        store.create(link, b"second", "text/plain")
    assert b"first" == store.get(link)


def test_what_is_larger_than_its_reader_takes_is_not_read(blobs: tuple[BlobStore, str]) -> None:
    store, link = blobs
    store.create(link, b"12345", "text/plain")
    assert b"12345" == store.get(link, limit=5)
    with pytest.raises(BlobTooLargeError):
        store.get(link, limit=4)


def test_who_reads_a_file_is_told_its_size_before_and_may_refuse(blobs: tuple[BlobStore, str]) -> None:
    store, link = blobs
    store.create(link, b"12345", "text/plain")
    sizes: list[int] = []
    found = store.get_other(link, "", sizes.append)
    assert found is not None
    assert ([5], b"12345") == (sizes, found.data)

    def refuse(_: int) -> None:
        raise BufferError

    with pytest.raises(BufferError):
        store.get_other(link, "", refuse)
    assert store.get_other(link, found.tag, refuse) is None, "nothing is read"


def test_a_file_that_is_still_the_same_is_not_read_again(blobs: tuple[BlobStore, str]) -> None:
    store, link = blobs
    store.create(link, b"first", "text/plain")
    found = store.get_other(link, "")
    assert found is not None
    assert (b"first", None) == (found.data, store.get_other(link, found.tag))
    store.put(link, b"second", "text/plain")
    other = store.get_other(link, found.tag)
    assert other is not None
    assert b"second" == other.data
    with pytest.raises(FileNotFoundError):
        store.get_other(f"{link}-2", "")


def test_a_large_file_is_sent_in_parts(aws: Callable[..., Any]) -> None:
    client, bucket = aws("s3"), f"bucket-{uuid4().hex}"
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    store, link = S3BlobStore(client), f"s3://{bucket}/large"
    data = bytes(range(256)) * (THRESHOLD // 256) + b"end"
    calls = []
    client.meta.events.register("before-call.s3", lambda model, **_: calls.append(model.name))
    store.create(link, data, "video/mp4", {"task-id": "1"})
    head = client.head_object(Bucket=bucket, Key="large")
    assert (data, "video/mp4", {"task-id": "1"}) == (store.get(link), head["ContentType"], head["Metadata"])
    assert 3 == calls.count("UploadPart")
    assert 1 == calls.count("CompleteMultipartUpload")


def test_parts_of_a_file_that_was_not_finished_are_removed(
    aws: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, bucket = aws("s3"), f"bucket-{uuid4().hex}"
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": ""}}, "CompleteMultipartUpload")

    monkeypatch.setattr(client, "complete_multipart_upload", refuse)
    with pytest.raises(FileExistsError):
        S3BlobStore(client).create(f"s3://{bucket}/large", bytes(THRESHOLD), "video/mp4")
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def test_a_copy_in_the_priority_queue_overtakes_what_waits_and_is_handled_there(aws: Callable[..., Any]) -> None:
    sqs = aws("sqs")
    urls = [sqs.create_queue(QueueName=f"{name}-{uuid4().hex}")["QueueUrl"] for name in ("tasks", "priority")]
    inbox = SqsInbox(sqs, *urls)
    for url, body in ((urls[0], "ordinary"), (urls[0], "urgent"), (urls[1], "urgent")):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    received = [inbox.receive(0, 60) for _ in range(3)]
    assert [("urgent", True), ("ordinary", False), ("urgent", False)] == [
        (found.body, found.is_copy) for found in received if found is not None
    ]
    copy, ordinary, _ = received
    assert copy is not None
    assert ordinary is not None
    inbox.hide(copy, 0)
    again = inbox.receive(0, 60)
    assert again is not None
    assert ("urgent", 2) == (again.body, again.receives)
    inbox.delete(again)
    inbox.delete(ordinary)
    assert inbox.receive(0, 60) is None


def test_a_trace_comes_with_its_message_and_goes_with_its_result(aws: Callable[..., Any]) -> None:
    sqs = aws("sqs")
    url = sqs.create_queue(QueueName=f"queue-{uuid4().hex}")["QueueUrl"]
    header = "Root=1-6976a4b0-0123456789abcdef01234567;Parent=53995c3f42cd8ad8;Sampled=1"
    result = TaskResult(owner="o", id="i", submission=now(), attempt=1, outcome="succeeded")
    SqsResultQueue(sqs, url).send(result, header)
    found = SqsInbox(sqs, url).receive(0, 60)
    assert found is not None
    assert header == found.trace
    SqsResultQueue(sqs, url).send(result)


def test_a_message_is_hidden_for_as_long_as_it_was_asked_and_counts_its_receives(aws: Callable[..., Any]) -> None:
    sqs = aws("sqs")
    url = sqs.create_queue(QueueName=f"queue-{uuid4().hex}", Attributes={"VisibilityTimeout": "3600"})["QueueUrl"]
    inbox = SqsInbox(sqs, url)
    assert inbox.receive(0, 60) is None
    sqs.send_message(QueueUrl=url, MessageBody="body")
    first = inbox.receive(0, 60)
    assert first is not None
    assert ("body", 1) == (first.body, first.receives)
    assert inbox.receive(0, 60) is None
    inbox.hide(first, 0)
    second = inbox.receive(0, 60)
    assert second is not None
    assert (first.id, 2) == (second.id, second.receives)
    inbox.delete(second)
    inbox.delete(second)  # a deletion that is repeated is no fault
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert "0" == attributes["ApproximateNumberOfMessagesNotVisible"]
