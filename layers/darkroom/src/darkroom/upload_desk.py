"""Taking uploads: links to put a file at, each owner's in a folder of its own."""

from dataclasses import dataclass
from datetime import datetime

from darkroom.errors import FieldError, InvalidRequestError, UploadNotFoundError
from darkroom.models import JsonObject
from darkroom.ports import BlobLinks
from darkroom.requests import UPLOADS, validate
from darkroom.signed_links import LIFETIME
from darkroom.ulids import is_ulid, make_ulid
from darkroom.uploads import PART, CompletionForm, PartLink, Upload, UploadedFile, UploadForm, is_filename


@dataclass(frozen=True)
class UploadDesk:
    """The use case."""

    links: BlobLinks
    bucket: str

    def start(self, body: JsonObject, owner: str, now: datetime) -> Upload:
        """Say where to put a file.

        Raises:
            InvalidRequestError: the body's fields are missing or wrong.
        """
        form = validate(UploadForm, body)
        uri = f"{self._folder(owner)}{make_ulid(now)}/{form.filename}"
        expires_at = now + LIFETIME
        if form.size <= PART:
            put = self.links.to_put(uri, form.content_type, form.size)
            return Upload(uri=uri, expires_at=expires_at, url=put.url, headers=put.headers)
        sizes = [PART] * (form.size // PART) + [form.size % PART] * (form.size % PART > 0)
        signed = self.links.start_parts(uri, form.content_type, len(sizes))
        parts = tuple(
            PartLink(number=number, url=url, size=size)
            for number, (url, size) in enumerate(zip(signed.urls, sizes, strict=True), start=1)
        )
        return Upload(uri=uri, expires_at=expires_at, upload_id=signed.upload_id, part_size=PART, parts=parts)

    def finish(self, body: JsonObject, owner: str) -> UploadedFile:
        """Make one file of the parts that were put.

        Raises:
            InvalidRequestError: the body's fields are missing or wrong, or its parts are not those that were put.
            UploadNotFoundError: the owner has no such upload under way.
        """
        form = validate(CompletionForm, body)
        tags = {part.number: part.etag for part in form.parts}
        if len(tags) < len(form.parts):
            raise InvalidRequestError(fields=[FieldError("parts", "has a number twice")])
        id_, _, filename = form.uri.removeprefix(self._folder(owner)).partition("/")
        if not form.uri.startswith(self._folder(owner)) or not is_ulid(id_) or not is_filename(filename):
            raise UploadNotFoundError
        self.links.finish_parts(form.uri, form.upload_id, tags)
        return UploadedFile(uri=form.uri)

    def _folder(self, owner: str) -> str:
        return f"s3://{self.bucket}/{UPLOADS}/{owner}/"
