"""How a task is asked for in `/v1`."""

import hashlib
import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from darkroom.bodies import read_object
from darkroom.content import check_content, take_model
from darkroom.errors import FieldError, InvalidRequestError
from darkroom.models import JsonObject, Model
from darkroom.outputs import OutputOptions
from darkroom.requests import Context, Id, Name, Prefix, TaskRequest, check_model, fingerprint, validate
from darkroom.tasks import Priority, TaskType
from darkroom.ulids import make_ulid
from darkroom.webhooks import Webhook

MAX_DEADLINE = 14 * 24 * 3600
"""The longest that a task may take, in seconds: queues keep a message for 14 days."""

MAX_BATCH = 100
"""The most tasks that one request may ask for."""

_PATHS = {name: name for name in ("runtime", "type", "content", "model", "prefix")}

IDEMPOTENCY_KEY = r"[!-~]{1,255}"
"""What an `Idempotency-Key` may be: 1 to 255 printable ASCII characters without spaces."""


class TaskForm(Model):
    """A task to be done.

    `id` is a name of one's own; without it one is made. `runtime` is one of `GET /v1/runtimes`, `content` the body
    of that runtime's own API, with links (s3, https) in place of images wherever one likes. `prefix` is the folder
    in the output bucket. `context` comes back in every message about the task. `model` is the checkpoint to use.
    """

    id: Id | None = None
    runtime: Name
    type: TaskType
    content: JsonObject
    prefix: Prefix = "output"
    context: Context = Field(default_factory=dict)
    model: Name | None = None
    deadline_seconds: Annotated[int, Field(ge=1, le=MAX_DEADLINE, strict=True)] | None = None
    priority: Priority = "normal"
    webhook: Webhook | None = None
    output: OutputOptions | None = None


class BatchForm(Model):
    """Up to 100 tasks to be done; each is accepted or refused for itself."""

    tasks: Annotated[list[JsonObject], Field(min_length=1, max_length=MAX_BATCH)]


def read_task(body: bytes, fallback_id: str) -> TaskRequest:
    """Read the body of `POST /v1/tasks`. A task that has no id of its own is given `fallback_id`.

    Raises:
        RequestError: it is too large, no JSON object, or has fields that are missing or wrong.
    """
    return read_form(read_object(body), fallback_id)


def read_batch(body: bytes) -> list[JsonObject]:
    """Read the body of `POST /v1/tasks:batch`: a form for each task, for `read_form`.

    Raises:
        RequestError: it is too large, no JSON object, or holds no tasks or too many.
    """
    return validate(BatchForm, read_object(body)).tasks


def read_form(whole: JsonObject, fallback_id: str) -> TaskRequest:
    """Read one task's form.

    Raises:
        InvalidRequestError: fields are missing or wrong.
    """
    form = validate(TaskForm, whole)
    check_content(form.type, form.content, "content")
    content, named = take_model(form.content)
    return TaskRequest(
        id=form.id or fallback_id,
        runtime=form.runtime,
        type=form.type,
        prefix=form.prefix,
        context=form.context,
        content=content,
        model=_one_model(form.model, check_model(named, "content.alwayson_scripts.sd_model_checkpoint")),
        fingerprint=fingerprint(whole),
        paths=_PATHS,
        replaces=False,
        deadline=timedelta(seconds=form.deadline_seconds) if form.deadline_seconds is not None else None,
        priority=form.priority,
        webhook=form.webhook,
        output=form.output,
    )


def _one_model(asked: str | None, named: str | None) -> str | None:
    if asked is not None and named is not None and asked != named:
        message = f"is {asked!r}, but the content asks for {named!r}: name one checkpoint"
        raise InvalidRequestError(fields=[FieldError("model", message)])
    return asked or named


def make_id(owner: str, key: str | None, now: datetime, index: int | None = None) -> str:
    """An id for a task that has none of its own: a ULID; or, with an `Idempotency-Key`, what follows from the key.

    `index` is the task's place in a batch, whose tasks share a key.

    Raises:
        InvalidRequestError: the key is empty, too long, or not of printable ASCII characters.
    """
    if key is None:
        return make_ulid(now)
    if not re.fullmatch(IDEMPOTENCY_KEY, key):
        message = "must be 1 to 255 printable ASCII characters without spaces"
        raise InvalidRequestError(fields=[FieldError("Idempotency-Key", message)])
    place = "" if index is None else f"\n{index}"
    return "key-" + hashlib.sha256(f"{owner}\n{key}{place}".encode()).hexdigest()[:32]
