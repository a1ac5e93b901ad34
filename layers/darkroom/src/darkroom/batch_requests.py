"""How a batch is asked for."""

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from darkroom.batch_notices import BatchWebhook
from darkroom.batches import Format
from darkroom.errors import FieldError, InvalidRequestError
from darkroom.listings import PAGE, Position, read_cursor
from darkroom.models import JsonObject, LateModel
from darkroom.outputs import OutputOptions
from darkroom.requests import UPLOADS, Context, Id, Name, Prefix, validate
from darkroom.task_requests import MAX_DEADLINE
from darkroom.tasks import Priority, TaskType
from darkroom.webhooks import Webhook

MAX_CONCURRENCY = 1000
"""The most rows that a batch works at side by side: as many functions as an account runs at once by default."""

_CONCURRENCY = 100
_ENDINGS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}


class RowDefaults(LateModel):
    """What every task of a batch has where its row says nothing else.

    A row's `content` and `context` are merged into these, field by field; any other field takes their place.
    """

    runtime: Name | None = None
    type: TaskType | None = None
    content: JsonObject = Field(default_factory=dict)
    prefix: Prefix | None = None
    context: dict[str, Any] = Field(default_factory=dict)
    model: Name | None = None
    deadline_seconds: Annotated[int, Field(ge=1, le=MAX_DEADLINE, strict=True)] | None = None
    priority: Priority | None = None
    webhook: Webhook | None = None
    output: OutputOptions | None = None


class BatchRequest(LateModel):
    """A manifest to be worked through: each row is a task, or with `pipeline` the inputs of a run.

    `id` is a name of one's own; without it one is made. `manifest` is a link to a file that was uploaded; `format`
    is needed where its name does not end in `.jsonl`, `.ndjson` or `.csv`. `pipeline` is the name of a saved one
    (`poster`, `poster@2`), or a document. The batch stops once more than `tolerated_failure_percentage` of its rows
    have failed. `prefix` is the folder of the results, and of images whose rows name none.
    """

    id: Annotated[Id, Field(max_length=64)] | None = None
    manifest: Annotated[str, Field(pattern=r"^s3://[^/]+/.+$", max_length=2048)]
    format: Format | None = None
    defaults: RowDefaults | None = None
    pipeline: Annotated[str, Field(min_length=1, max_length=256)] | JsonObject | None = None
    max_concurrency: Annotated[int, Field(ge=1, le=MAX_CONCURRENCY, strict=True)] = _CONCURRENCY
    tolerated_failure_percentage: Annotated[float, Field(ge=0, le=100)] = 100
    deadline_seconds: Annotated[int, Field(ge=1, le=MAX_DEADLINE, strict=True)] | None = None
    prefix: Prefix = "batches"
    context: Context = Field(default_factory=dict)
    webhook: BatchWebhook | None = None


class BatchQuery(LateModel):
    """What a caller asks of the list: how many on a page, and after which place."""

    limit: Annotated[int, Field(ge=1, le=PAGE)] = 10
    cursor: Annotated[Position | None, BeforeValidator(read_cursor), WithJsonSchema({"type": "string"})] = None


def read_request(body: JsonObject) -> BatchRequest:
    """Read the body of `POST /v1/batches`.

    Raises:
        InvalidRequestError: fields are missing, wrong, or do not go together.
    """
    form = validate(BatchRequest, body)
    if form.pipeline is not None and form.defaults is not None:
        message = "is for rows that are tasks; a pipeline's inputs have defaults of their own"
        raise InvalidRequestError(fields=[FieldError("defaults", message)])
    return form


def format_of(form: BatchRequest) -> Format:
    """The manifest's format: as the caller says, or by its name.

    Raises:
        InvalidRequestError: neither says.
    """
    found = form.format or next((it for end, it in _ENDINGS.items() if form.manifest.lower().endswith(end)), None)
    if found is None:
        message = f"is needed (jsonl or csv): the manifest's name ends in none of {', '.join(_ENDINGS)}"
        raise InvalidRequestError(fields=[FieldError("format", message)])
    return found


def check_manifest(link: str, bucket: str, owner: str, input_buckets: Collection[str]) -> None:
    """Refuse manifests that are neither the owner's uploads nor in a bucket that inputs may come from.

    Raises:
        InvalidRequestError: it is none of them.
    """
    named, _, key = link.removeprefix("s3://").partition("/")
    if named == bucket and key.startswith(f"{UPLOADS}/"):
        if not key.startswith(f"{UPLOADS}/{owner}/") or "/../" in key:
            message = "is a file of another owner's; name one that you have uploaded"
            raise InvalidRequestError(fields=[FieldError("manifest", message)])
    elif named == bucket or named not in input_buckets:
        known = "".join(f", or lie in the bucket {it}" for it in sorted(input_buckets))
        message = f"must be a file that you have uploaded (POST /v1/uploads){known}"
        raise InvalidRequestError(fields=[FieldError("manifest", message)])
