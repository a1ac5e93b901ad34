"""Large files of rows in S3, read and written piece by piece."""

from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from itertools import chain
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from darkroom.aws.blob_store import split_link
from darkroom.aws.multipart import PART, Place

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_PIECE = 1024 * 1024
_MISSING = frozenset({"404", "NoSuchKey", "NoSuchBucket", "403", "AccessDenied"})
"""Who may not list a bucket is refused what is not there."""


class S3RowFiles:
    """A `RowFiles` of `s3://bucket/key` links."""

    def __init__(self, client: "S3Client") -> None:
        self._client = client

    def size(self, link: str) -> int:
        """See `RowFiles.size`."""
        bucket, key = split_link(link)
        try:
            return self._client.head_object(Bucket=bucket, Key=key)["ContentLength"]
        except ClientError as error:
            raise _missing(error, link) from error

    def read(self, link: str) -> Iterator[bytes]:
        """See `RowFiles.read`."""
        bucket, key = split_link(link)
        try:
            answer = self._client.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            raise _missing(error, link) from error
        with closing(answer["Body"]) as body:
            yield from body.iter_chunks(_PIECE)

    def read_part(self, link: str, start: int, length: int) -> bytes:
        """See `RowFiles.read_part`."""
        if not length:
            return b""
        bucket, key = split_link(link)
        answer = self._client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{start + length - 1}")
        with answer["Body"] as body:
            return body.read()

    def write(self, link: str, pieces: Iterable[bytes], content_type: str) -> None:
        """See `RowFiles.write`."""
        bucket, key = split_link(link)
        parts = _parts(pieces)
        first, second = next(parts, b""), next(parts, None)
        if second is None:
            self._client.put_object(Bucket=bucket, Key=key, Body=first, ContentType=content_type)
            return
        place: Place = {"Bucket": bucket, "Key": key}
        upload = self._client.create_multipart_upload(**place, ContentType=content_type)["UploadId"]
        sent: list[CompletedPartTypeDef] = []
        try:
            for number, body in enumerate(chain((first, second), parts), start=1):
                answer = self._client.upload_part(**place, UploadId=upload, PartNumber=number, Body=body)
                sent.append({"PartNumber": number, "ETag": answer["ETag"]})
            self._client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": sent})
        except BaseException:
            with suppress(ClientError, BotoCoreError):  # the bucket's lifecycle drops what is left
                self._client.abort_multipart_upload(**place, UploadId=upload)
            raise


def _parts(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces put together to the size that S3 takes."""
    part = bytearray()
    for piece in pieces:
        part += piece
        if len(part) >= PART:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)


def _missing(error: ClientError, link: str) -> Exception:
    code = error.response.get("Error", {}).get("Code")
    return FileNotFoundError(link) if code in _MISSING else error
