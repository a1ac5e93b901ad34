"""Presigned URLs of files in S3. Signing is done here, without a call; it takes a permission of the signer's role.

The client must sign by version 4 (`Config(signature_version="s3v4")`), which alone can bind a size to a URL.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from darkroom.aws.blob_store import split_link
from darkroom.errors import FieldError, InvalidRequestError, UploadNotFoundError
from darkroom.signed_links import LIFETIME, SignedParts, SignedPut

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_WRONG_PARTS = {
    "InvalidPart": "a part was not put, or has another ETag",
    "InvalidPartOrder": "the parts are not in order",
    "MalformedXML": "a part is not as S3 expects it",
    "EntityTooSmall": "a part before the last is smaller than 5 MB",
}


class S3BlobLinks:
    """A `BlobLinks` of `s3://bucket/key` links."""

    def __init__(self, client: "S3Client") -> None:
        self._client = client

    def to_get(self, link: str) -> str:
        """See `BlobLinks.to_get`."""
        return self._sign("get_object", link)

    def to_put(self, link: str, content_type: str, size: int) -> SignedPut:
        """See `BlobLinks.to_put`."""
        url = self._sign("put_object", link, ContentType=content_type, ContentLength=size)
        return SignedPut(url, {"Content-Type": content_type})  # a client sends the length of itself

    def start_parts(self, link: str, content_type: str, count: int) -> SignedParts:
        """See `BlobLinks.start_parts`."""
        bucket, key = split_link(link)
        answer = self._client.create_multipart_upload(Bucket=bucket, Key=key, ContentType=content_type)
        id_ = answer["UploadId"]
        urls = [self._sign("upload_part", link, UploadId=id_, PartNumber=n) for n in range(1, count + 1)]
        return SignedParts(id_, tuple(urls))

    def finish_parts(self, link: str, upload_id: str, tags: Mapping[int, str]) -> None:
        """See `BlobLinks.finish_parts`."""
        bucket, key = split_link(link)
        parts: Any = [{"PartNumber": number, "ETag": tag} for number, tag in sorted(tags.items())]
        try:
            self._client.complete_multipart_upload(
                Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
            )
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code == "NoSuchUpload":
                raise UploadNotFoundError from error
            if code in _WRONG_PARTS:
                raise InvalidRequestError(fields=[FieldError("parts", _WRONG_PARTS[code])]) from error
            raise

    def _sign(self, operation: str, link: str, **more: object) -> str:
        bucket, key = split_link(link)
        parameters = {"Bucket": bucket, "Key": key, **more}
        seconds = int(LIFETIME.total_seconds())
        return self._client.generate_presigned_url(operation, Params=parameters, ExpiresIn=seconds)
