"""Files in S3."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from darkroom.errors import BlobTooLargeError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MISSING = frozenset({"NoSuchKey", "NoSuchBucket"})
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})  # there, or being written this moment


class S3BlobStore:
    """A `BlobStore` of `s3://bucket/key` links."""

    def __init__(self, client: "S3Client") -> None:
        self._client = client

    def put(self, link: str, data: bytes, content_type: str, metadata: Mapping[str, str] | None = None) -> None:
        """See `BlobStore.put`."""
        bucket, key = split_link(link)
        self._client.put_object(
            Bucket=bucket, Key=key, Body=data, ContentType=content_type, Metadata=dict(metadata or {})
        )

    def create(self, link: str, data: bytes, content_type: str, metadata: Mapping[str, str] | None = None) -> None:
        """See `BlobStore.create`."""
        bucket, key = split_link(link)
        try:
            self._client.put_object(
                Bucket=bucket,
                Key=key,
                Body=data,
                ContentType=content_type,
                Metadata=dict(metadata or {}),
                IfNoneMatch="*",
            )
        except ClientError as error:
            if _code(error) in _TAKEN:
                raise FileExistsError(link) from error
            raise

    def get(self, link: str, limit: int | None = None) -> bytes:
        """See `BlobStore.get`."""
        bucket, key = split_link(link)
        try:
            answer = self._client.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if _code(error) in _MISSING:
                raise FileNotFoundError(link) from error
            raise
        with answer["Body"] as body:
            if limit is not None and answer["ContentLength"] > limit:
                raise BlobTooLargeError
            return body.read()


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def split_link(link: str) -> tuple[str, str]:
    """The bucket and the key of an `s3://bucket/key` link.

    Raises:
        ValueError: it is none.
    """
    scheme, _, rest = link.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket or not key:
        raise ValueError(f"{link!r} is no s3://bucket/key")
    return bucket, key
