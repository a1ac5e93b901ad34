"""Files that the agent creates: by object_store, and by boto3 where that one does not bring it to its end."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import boto3
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from awscrt.checksums import crc64nvme  # type: ignore[import-untyped]  # it has no types
from botocore.config import Config
from botocore.exceptions import ClientError

from darkroom.aws.multipart import THRESHOLD
from darkroom_agent.blobs import LeanBlobStore

BOTO3 = Config(user_agent="boto3", retries={"total_max_attempts": 1})
REFUSAL = "<Error><Code>{}</Code><Message>no</Message></Error>"


@pytest.fixture
def session() -> boto3.Session:
    return boto3.Session("test", "test", "token", region_name="eu-west-1")


@pytest.fixture
def bucket(aws: Callable[..., Any]) -> str:
    name = f"bucket-{uuid4().hex}"
    aws("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return name


@dataclass
class Storage:
    """A server that answers what it is told to, 200 in the end, and notes who asked for what."""

    answers: list[tuple[int, str]] = field(default_factory=list)
    asked: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    checksums: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        agent = request.headers["User-Agent"].replace(" ", "/").partition("/")[0]
        self.asked.append((agent, request.path, request.headers["If-None-Match"], await request.read()))
        self.checksums.append(request.headers.get("x-amz-checksum-crc64nvme", ""))
        status, text = self.answers.pop(0) if self.answers else (200, "")
        return web.Response(status=status, text=text, headers={"ETag": '"tag"'})


@pytest.fixture
async def storage(session: boto3.Session) -> AsyncIterator[tuple[Storage, LeanBlobStore]]:
    made, app = Storage(), web.Application()
    app.router.add_put("/{key:.*}", made.answer)
    async with TestServer(app) as server:
        client = session.client("s3", endpoint_url=str(server.make_url("/")).rstrip("/"), config=BOTO3)
        yield made, LeanBlobStore(session, client)


@pytest.mark.parametrize(
    ("key", "by_boto3"),
    [("output/a b/漢字#%41+.png", 0), ("output//a/../b.png", 1), ("/output/a.png", 1), ("output/a.png/", 1)],
)
def test_a_file_has_its_key_its_type_and_its_metadata_whoever_sends_it(
    aws: Callable[..., Any], session: boto3.Session, bucket: str, key: str, by_boto3: int
) -> None:
    client, calls = aws("s3"), []
    client.meta.events.register("before-call.s3.PutObject", lambda **_: calls.append(1))
    store = LeanBlobStore(session, client)
    store.create(f"s3://{bucket}/{key}", b"first", "image/png", {"task-id": "1"})
    with pytest.raises(FileExistsError):
        store.create(f"s3://{bucket}/{key}", b"second", "image/png")
    assert 2 * by_boto3 == len(calls)
    found = client.get_object(Bucket=bucket, Key=key)
    assert (b"first", "image/png", {"task-id": "1"}) == (
        found["Body"].read(),
        found["ContentType"],
        found["Metadata"],
    )


def test_a_large_file_is_sent_in_parts(aws: Callable[..., Any], session: boto3.Session, bucket: str) -> None:
    client, calls = aws("s3"), []
    client.meta.events.register("before-call.s3.CompleteMultipartUpload", lambda **_: calls.append(1))
    LeanBlobStore(session, client).create(f"s3://{bucket}/large", bytes(THRESHOLD), "video/mp4")
    assert [1] == calls


def test_a_refusal_is_told_in_the_words_of_boto3(aws: Callable[..., Any], session: boto3.Session) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        LeanBlobStore(session, aws("s3")).create(f"s3://bucket-{uuid4().hex}/file", b"", "image/png")


@pytest.mark.parametrize("fault", [(503, REFUSAL.format("SlowDown")), (403, REFUSAL.format("ExpiredToken"))])
async def test_a_fault_leaves_the_file_to_boto3(
    storage: tuple[Storage, LeanBlobStore], fault: tuple[int, str]
) -> None:
    server, store = storage
    server.answers = [fault]
    await asyncio.to_thread(store.create, "s3://bucket/file.png", b"data", "image/png")
    await asyncio.to_thread(store.create, "s3://bucket/next.png", b"more", "image/png")
    first, again, following = server.asked
    assert ("/bucket/file.png", "*", b"data") == first[1:] == again[1:]
    assert ("/bucket/next.png", "*", b"more") == following[1:]
    assert ["object_store", "boto3", "object_store"] == [who for who, *_ in server.asked]


async def test_a_checksum_lets_s3_see_that_a_file_came_whole(storage: tuple[Storage, LeanBlobStore]) -> None:
    server, store = storage
    await asyncio.to_thread(store.create, "s3://bucket/file.png", b"data", "image/png")
    assert [base64.b64encode(crc64nvme(b"data").to_bytes(8, "big")).decode()] == server.checksums


async def test_a_file_that_was_written_without_an_answer_is_there(
    storage: tuple[Storage, LeanBlobStore],
) -> None:
    server, store = storage
    server.answers = [(500, REFUSAL.format("InternalError")), (412, REFUSAL.format("PreconditionFailed"))]
    with pytest.raises(FileExistsError):
        await asyncio.to_thread(store.create, "s3://bucket/file.png", b"data", "image/png")


async def test_credentials_that_are_missing_at_first_are_looked_for_again(
    storage: tuple[Storage, LeanBlobStore], session: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, store = storage
    with monkeypatch.context() as patch:
        patch.setattr(session, "get_credentials", lambda: None)
        await asyncio.to_thread(store.create, "s3://bucket/file.png", b"data", "image/png")
    await asyncio.to_thread(store.create, "s3://bucket/next.png", b"data", "image/png")
    assert ["boto3", "object_store"] == [who for who, *_ in server.asked]
