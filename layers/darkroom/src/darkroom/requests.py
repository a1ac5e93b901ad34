"""How a task is asked for: the two request forms of the user guide, read into one.

`v1alpha2` names a runtime. `v1alpha1` is the SD WebUI's own body with the guide's fields among its
`alwayson_scripts`; it names a checkpoint.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from darkroom.bodies import read_object
from darkroom.content import check_content, field_errors, take_model
from darkroom.errors import FieldError, InvalidRequestError
from darkroom.models import JsonObject
from darkroom.outputs import OutputOptions
from darkroom.tasks import Priority, TaskType
from darkroom.webhooks import Webhook

MAX_CONTEXT = 16 * 1024
"""The largest context taken, in bytes of JSON: it travels in every event and message of the task."""

MAX_PREFIX = 512
"""The longest prefix taken, in characters; S3 takes keys of 1,024 bytes."""

UPLOADS = "uploads"
"""The folder of the output bucket where inputs are uploaded to, each owner's in one of its own."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9!_.*'() -]{0,127}")


def _schema_of(pattern: re.Pattern[str]) -> WithJsonSchema:
    """What documents say of a text: about what its check says."""
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern.pattern}$"})


def is_id(text: str) -> bool:
    """True for what a task may be called."""
    return _ID.fullmatch(text) is not None and ".." not in text


def _check_id(text: str) -> str:
    if not is_id(text):
        raise ValueError(
            "an id is 1 to 128 letters, digits, '.', '_' or '-', begins with a letter or digit and has no '..'"
        )
    return text


def _check_prefix(text: str) -> str:
    prefix = text.removesuffix("/")
    parts = prefix.split("/")
    if len(prefix) > MAX_PREFIX or not all(_SEGMENT.fullmatch(part) and ".." not in part for part in parts):
        raise ValueError(
            f"a prefix is a folder such as 'output' or 'output/today': at most {MAX_PREFIX} characters, no leading "
            "slash, no '..', no empty part, none that begins with '.', and no characters that S3 advises against"
        )
    if parts[0] == UPLOADS:
        raise ValueError(f"the folder {UPLOADS!r} is kept for inputs that are uploaded")
    return prefix


def _check_own_form(type_: TaskType) -> TaskType:
    if type_ is TaskType.PIPELINE:
        raise ValueError("a pipeline is asked for by v1alpha2")
    return type_


def _check_context(context: object) -> object:
    if len(json.dumps(context)) > MAX_CONTEXT:
        raise ValueError(f"a context is at most {MAX_CONTEXT} bytes of JSON")
    return context


Id = Annotated[str, AfterValidator(_check_id), _schema_of(_ID)]
Prefix = Annotated[str, AfterValidator(_check_prefix), WithJsonSchema({"type": "string", "maxLength": MAX_PREFIX})]
Context = Annotated[Any, AfterValidator(_check_context)]
Name = Annotated[str, Field(min_length=1, max_length=256)]


@dataclass(frozen=True)
class TaskRequest:
    """What a caller asks for, whichever form it came in.

    `runtime` is None where the request names a `model` instead. `content` is what the runtime is to get. `paths`
    maps this record's own fields to where the caller wrote them. `replaces` says whether the request may take the
    place of a task of its id that has ended.
    """

    id: str
    runtime: str | None
    type: TaskType
    prefix: str
    context: Any
    content: JsonObject
    model: str | None
    fingerprint: str
    paths: dict[str, str]
    replaces: bool = True
    deadline: timedelta | None = None
    priority: Priority = "normal"
    webhook: Webhook | None = None
    output: OutputOptions | None = None


class _Form(BaseModel):
    """Fields that a form does not know are left alone: clients of the guide may send more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Metadata(_Form):
    id: Id
    runtime: Name
    tasktype: TaskType
    prefix: Prefix
    context: Context = Field(default_factory=dict)


class _Task(_Form):
    metadata: _Metadata
    content: JsonObject


class _V1Alpha2(_Form):
    task: _Task


class _Controls(_Form):
    task: Annotated[TaskType, AfterValidator(_check_own_form)]
    sd_model_checkpoint: Name
    id_task: Id
    save_dir: Prefix = "output"
    image_link: str | None = None


class _V1Alpha1(_Form):
    alwayson_scripts: _Controls


def read_v1alpha2(body: bytes) -> TaskRequest:
    """Read a `v1alpha2` body.

    Raises:
        RequestError: it is too large, no JSON object, or has fields that are missing or wrong.
    """
    whole = read_object(body)
    task = validate(_V1Alpha2, whole).task
    check_content(task.metadata.tasktype, task.content, "task.content")
    content, model = take_model(task.content)
    return TaskRequest(
        id=task.metadata.id,
        runtime=task.metadata.runtime,
        type=task.metadata.tasktype,
        prefix=task.metadata.prefix,
        context=task.metadata.context,
        content=content,
        model=check_model(model, "task.content.alwayson_scripts.sd_model_checkpoint"),
        fingerprint=fingerprint(whole),
        paths={
            "runtime": "task.metadata.runtime",
            "type": "task.metadata.tasktype",
            "content": "task.content",
            "model": "task.content.alwayson_scripts.sd_model_checkpoint",
            "prefix": "task.metadata.prefix",
        },
    )


def read_v1alpha1(body: bytes) -> TaskRequest:
    """Read a `v1alpha1` body.

    Raises:
        RequestError: it is too large, no JSON object, or has fields that are missing or wrong.
    """
    whole = read_object(body)
    controls = validate(_V1Alpha1, whole).alwayson_scripts
    scripts = {k: v for k, v in whole["alwayson_scripts"].items() if k not in _Controls.model_fields}
    content = {k: v for k, v in whole.items() if k != "alwayson_scripts"}
    if not content and controls.image_link is None:
        raise InvalidRequestError(
            fields=[FieldError("prompt", "the body holds no content beside alwayson_scripts")]
        )
    content["alwayson_scripts"] = scripts
    if controls.image_link is not None:
        content = _with_image(content, controls)
    check_content(controls.task, content, "")
    return TaskRequest(
        id=controls.id_task,
        runtime=None,
        type=controls.task,
        prefix=controls.save_dir,
        context={},
        content=content,
        model=controls.sd_model_checkpoint,
        fingerprint=fingerprint(whole),
        paths={
            "type": "alwayson_scripts.task",
            "content": "",
            "model": "alwayson_scripts.sd_model_checkpoint",
            "prefix": "alwayson_scripts.save_dir",
        },
    )


def _with_image(content: JsonObject, controls: _Controls) -> JsonObject:
    if controls.task is TaskType.IMAGE_TO_IMAGE:
        return content | {"init_images": [controls.image_link]}
    if controls.task in {TaskType.EXTRA_SINGLE_IMAGE, TaskType.INTERROGATE}:
        return content | {"image": controls.image_link}
    return content


def fingerprint(body: JsonObject) -> str:
    """A digest of a body that does not depend on the order of its fields."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


F = TypeVar("F", bound=BaseModel)


def validate(form: type[F], body: JsonObject) -> F:
    """A body as one of the forms.

    Raises:
        InvalidRequestError: fields are missing or wrong.
    """
    try:
        return form.model_validate(body)
    except ValidationError as error:
        raise InvalidRequestError(fields=field_errors(error)) from error


def check_model(model: object, field: str) -> str | None:
    """The name of a checkpoint, if `model` is one.

    Raises:
        InvalidRequestError: it is something else; `field` says where it stood.
    """
    if model is not None and not isinstance(model, str):
        raise InvalidRequestError(fields=[FieldError(field, "must be the name of a checkpoint")])
    return model


READERS: dict[str, Callable[[bytes], TaskRequest]] = {"v1alpha1": read_v1alpha1, "v1alpha2": read_v1alpha2}
"""How a request of each version of the API is read."""
