"""What the agent relies on in its adapters of S3 and SQS, against servers that speak their protocols."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from darkroom.aws.blob_store import S3BlobStore
from darkroom.errors import BlobTooLargeError
from darkroom.ports import BlobStore
from darkroom.testing import InMemoryBlobStore
from darkroom_agent.queues import SqsInbox


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
