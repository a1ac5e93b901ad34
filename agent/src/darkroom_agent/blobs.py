"""Files in S3, written for as little of the pod's processor as can be.

To put half a megabyte takes botocore 4 ms of CPU, object_store less than one (decision 0027). So object_store is
tried first, once. What it does not take or bring to its end is boto3's, whose retries and errors are those of every
other call.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError
from obstore import put
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from darkroom.aws.blob_store import S3BlobStore, split_link
from darkroom.aws.multipart import THRESHOLD
from darkroom_agent import metrics
from darkroom_agent.faults import describe
from darkroom_agent.logs import EventLog

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = EventLog(__name__)

_LONGEST = timedelta(seconds=10)
_CREDENTIALS_LAST = timedelta(minutes=10)  # boto3 renews what is good for less


class LeanBlobStore(S3BlobStore):
    """An `S3BlobStore` that creates files below `THRESHOLD` by object_store, with the session's credentials."""

    def __init__(self, session: boto3.Session, client: "S3Client") -> None:
        super().__init__(client)

        @cache
        def bucket(name: str) -> S3Store:
            return S3Store(
                name,
                endpoint=client.meta.endpoint_url,  # boto3 knows those of all partitions, and of one's own
                region=client.meta.region_name,
                credential_provider=Boto3CredentialProvider(session, ttl=_CREDENTIALS_LAST),
                unsigned_payload=True,  # a checksum vouches for the content, in a tenth of the time, as with boto3
                checksum_algorithm="CRC64NVME",
                client_options={"allow_http": True, "connect_timeout": "3s", "timeout": _LONGEST},
                retry_config={"max_retries": 0},
            )

        self._bucket = bucket

    def create(self, link: str, data: bytes, content_type: str, metadata: Mapping[str, str] | None = None) -> None:
        """See `BlobStore.create`."""
        name, key = split_link(link)
        # object_store drops a slash at either end of a key
        if len(data) < THRESHOLD and key == key.strip("/"):
            attributes = {"Content-Type": content_type, **(metadata or {})}
            try:
                put(self._bucket(name), key, data, attributes=attributes, mode="create", use_multipart=False)
            except AlreadyExistsError as error:
                raise FileExistsError(link) from error
            except (BaseError, BotoCoreError, OSError, ValueError) as error:
                metrics.RETRIES.labels("upload").inc()
                log.warning("upload_left_to_boto3", link=link, error=describe(error).partition("\n")[0])
            else:
                return
        super().create(link, data, content_type, metadata)
