"""Files in S3."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from darkroom.aws.multipart import THRESHOLD, Place, create_in_parts
from darkroom.errors import BlobTooLargeError, DarkroomError
from darkroom.ports import Blob

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_MISSING = frozenset({"NoSuchKey", "NoSuchBucket"})
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})  # there, or being written this moment
_SAME = "304"
_NO_TAG = '"none"'
"""A tag that no file has."""

_DELETED = 1000
"""How many files S3 deletes at once."""


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
            if len(data) >= THRESHOLD:
                place: Place = {"Bucket": bucket, "Key": key}
                create_in_parts(self._client, place, data, content_type, metadata or {})
                return
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

    def delete(self, links: Iterable[str]) -> None:
        """See `BlobStore.delete`."""
        by_bucket: dict[str, list[str]] = {}
        for link in links:
            bucket, key = split_link(link)
            by_bucket.setdefault(bucket, []).append(key)
        for bucket, keys in by_bucket.items():
            for start in range(0, len(keys), _DELETED):
                self._delete(bucket, keys[start : start + _DELETED])

    def _delete(self, bucket: str, keys: Sequence[str]) -> None:
        objects: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in keys]
        answer = self._client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        if answer.get("Errors"):  # S3 answers 200 even so
            raise DarkroomError(f"{bucket} keeps a file: {answer['Errors'][0].get('Message')}")

    def get(self, link: str, limit: int | None = None) -> bytes:
        """See `BlobStore.get`."""

        def admit(size: int) -> None:
            if limit is not None and size > limit:
                raise BlobTooLargeError

        found = self.get_other(link, "", admit)
        if found is None:
            raise FileNotFoundError(link)
        return found.data

    def get_other(self, link: str, tag: str, admit: Callable[[int], object] | None = None) -> Blob | None:
        """See `BlobStore.get_other`."""
        bucket, key = split_link(link)
        try:
            answer = self._client.get_object(Bucket=bucket, Key=key, IfNoneMatch=tag or _NO_TAG)
        except ClientError as error:
            if _code(error) in _MISSING:
                raise FileNotFoundError(link) from error
            if _code(error) == _SAME:
                return None
            raise
        with answer["Body"] as body:
            if admit is not None:
                admit(answer["ContentLength"])
            return Blob(body.read(), answer.get("ETag", ""))


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
