"""Large files in S3: sent in parts, side by side, and there as a whole or not at all."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, TypedDict

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef


class Place(TypedDict):
    """Where a file lies, by S3's names."""

    Bucket: str
    Key: str


THRESHOLD = 16 * 1024 * 1024
"""Bytes from which a file is sent in parts."""

PART = 8 * 1024 * 1024
"""Bytes of a part; S3 takes no less than 5 MiB but for the last one."""

SIDE_BY_SIDE = 4
"""Parts at once: one connection to S3 brings some 85 MB/s at best, by its performance guide."""


def create_in_parts(
    client: "S3Client", place: Place, data: bytes, content_type: str, metadata: Mapping[str, str]
) -> None:
    """Write a file that is not there yet. boto3's own transfers cannot ask for that condition.

    Raises:
        ClientError: among others, `PreconditionFailed`, where there is such a file.
    """
    upload = client.create_multipart_upload(**place, ContentType=content_type, Metadata=dict(metadata))["UploadId"]

    def send(number: int) -> "CompletedPartTypeDef":
        body = data[(number - 1) * PART : number * PART]
        answer = client.upload_part(**place, UploadId=upload, PartNumber=number, Body=body)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    try:
        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="parts") as pool:
            parts = list(pool.map(send, range(1, -(-len(data) // PART) + 1)))
        client.complete_multipart_upload(
            **place, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
        )
    except BaseException:
        with suppress(ClientError, BotoCoreError):  # the bucket's lifecycle drops what is left
            client.abort_multipart_upload(**place, UploadId=upload)
        raise
