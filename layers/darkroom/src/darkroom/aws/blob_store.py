"""Files in S3."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


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

    def get(self, link: str) -> bytes:
        """See `BlobStore.get`."""
        bucket, key = split_link(link)
        try:
            return self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in {"NoSuchKey", "NoSuchBucket"}:
                raise FileNotFoundError(link) from error
            raise


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
