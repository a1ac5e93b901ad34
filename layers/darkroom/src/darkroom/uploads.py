"""Uploads: how a caller brings inputs to where contents can name them.

A file goes straight to the bucket by presigned URLs: a small one in one piece, a large one in parts that can be
sent side by side and then have to be put together.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from darkroom.models import LateModel, Timestamp

PART = 64 * 1024 * 1024
"""The size of a part, and of the largest file that goes in one piece, in bytes."""

MAX_SIZE = 5 * 1024**3
"""The largest file taken, in bytes."""

_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9!_.*'() -]{0,254}")
_CONTENT_TYPE = r"^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$"


def is_filename(text: str) -> bool:
    """True for what an uploaded file may be called."""
    return _FILENAME.fullmatch(text) is not None and ".." not in text


def _check_filename(text: str) -> str:
    if not is_filename(text):
        raise ValueError(
            "a filename is 1 to 255 letters, digits, spaces or any of !_.*'()-, begins with a letter, digit or '_' "
            "and has no '..' and no folder"
        )
    return text


class UploadForm(LateModel):
    """A file that shall be uploaded; `size` is in bytes."""

    filename: Annotated[
        str,
        AfterValidator(_check_filename),
        WithJsonSchema({"type": "string", "pattern": f"^{_FILENAME.pattern}$"}),
    ]
    content_type: Annotated[str, Field(pattern=_CONTENT_TYPE)] = "application/octet-stream"
    size: Annotated[int, Field(ge=1, le=MAX_SIZE, strict=True)]


class PartLink(LateModel):
    """Where to put one part of a file; the answer's `ETag` is needed to complete the upload."""

    number: int
    url: str
    size: int


class Upload(LateModel):
    """How to upload a file: by one PUT to `url` with `headers`; or, above 64 MB, by one PUT to each of `parts`.

    After the parts comes `POST /v1/uploads:complete` with `uri`, `upload_id` and the parts' ETags. Then `uri` can
    be used anywhere in a content. The file is kept for 30 days; links hold until `expires_at`.
    """

    uri: str
    expires_at: Timestamp
    method: Literal["PUT"] = "PUT"
    url: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    upload_id: str | None = None
    part_size: int | None = None
    parts: tuple[PartLink, ...] = ()


class PartTag(LateModel):
    """A part that was put, and the `ETag` of the answer."""

    number: Annotated[int, Field(ge=1, le=MAX_SIZE // PART, strict=True)]
    etag: Annotated[str, Field(pattern=r'^"?[A-Za-z0-9_-]{1,64}"?$')]


class CompletionForm(LateModel):
    """All parts of an upload."""

    uri: Annotated[str, Field(max_length=1024)]
    upload_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{1,1024}$")]
    parts: Annotated[list[PartTag], Field(min_length=1, max_length=MAX_SIZE // PART)]


class UploadedFile(LateModel):
    """A file that is there."""

    uri: str
