"""How a task is asked for: the two request forms of the user guide, read into one.

`v1alpha2` names a runtime. `v1alpha1` is the SD WebUI's own body with the guide's fields among its
`alwayson_scripts`; it names a checkpoint.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from darkroom.content import check_content, field_errors, take_model
from darkroom.errors import BodyTooLargeError, FieldError, InvalidRequestError, MalformedBodyError
from darkroom.models import JsonObject
from darkroom.tasks import TaskType

MAX_BODY = 4 * 1024 * 1024
"""The largest body taken, in bytes: a Lambda's event may hold 6 MB, and quoting makes a body grow."""

MAX_CONTEXT = 16 * 1024
"""The largest context taken, in bytes of JSON: it travels in every event and message of the task."""

MAX_PREFIX = 512
"""The longest prefix taken, in characters; S3 takes keys of 1,024 bytes."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9!_.*'() -]{0,127}")


def _check_id(text: str) -> str:
    if not _ID.fullmatch(text) or ".." in text:
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
    return prefix


def _check_context(context: object) -> object:
    if len(json.dumps(context)) > MAX_CONTEXT:
        raise ValueError(f"a context is at most {MAX_CONTEXT} bytes of JSON")
    return context


Id = Annotated[str, AfterValidator(_check_id)]
Prefix = Annotated[str, AfterValidator(_check_prefix)]
Context = Annotated[Any, AfterValidator(_check_context)]
Name = Annotated[str, Field(min_length=1, max_length=256)]


@dataclass(frozen=True)
class TaskRequest:
    """What a caller asks for, whichever form it came in.

    `runtime` is None where the request names a `model` instead. `content` is what the runtime is to get. `paths`
    maps this record's own fields to where the caller wrote them.
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
    task: TaskType
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
    task = _validate(_V1Alpha2, whole).task
    check_content(task.metadata.tasktype, task.content, "task.content")
    content, model = take_model(task.content)
    return TaskRequest(
        id=task.metadata.id,
        runtime=task.metadata.runtime,
        type=task.metadata.tasktype,
        prefix=task.metadata.prefix,
        context=task.metadata.context,
        content=content,
        model=_check_model(model, "task.content.alwayson_scripts.sd_model_checkpoint"),
        fingerprint=fingerprint(whole),
        paths={
            "runtime": "task.metadata.runtime",
            "type": "task.metadata.tasktype",
            "model": "task.content.alwayson_scripts.sd_model_checkpoint",
        },
    )


def read_v1alpha1(body: bytes) -> TaskRequest:
    """Read a `v1alpha1` body.

    Raises:
        RequestError: it is too large, no JSON object, or has fields that are missing or wrong.
    """
    whole = read_object(body)
    controls = _validate(_V1Alpha1, whole).alwayson_scripts
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
        paths={"type": "alwayson_scripts.task", "model": "alwayson_scripts.sd_model_checkpoint"},
    )


def _with_image(content: JsonObject, controls: _Controls) -> JsonObject:
    if controls.task is TaskType.IMAGE_TO_IMAGE:
        return content | {"init_images": [controls.image_link]}
    if controls.task is TaskType.EXTRA_SINGLE_IMAGE:
        return content | {"image": controls.image_link}
    return content


def read_object(body: bytes) -> JsonObject:
    """Read a body's JSON object.

    Raises:
        BodyTooLargeError: it is larger than `MAX_BODY`.
        MalformedBodyError: it is no JSON object. NaN and Infinity are no JSON.
    """
    if len(body) > MAX_BODY:
        message = f"is {len(body)} bytes, at most {MAX_BODY} are taken: send large images as links (s3 or https)"
        raise BodyTooLargeError(fields=[FieldError("body", message)])
    try:
        whole = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedBodyError(fields=[FieldError("body", f"is not JSON: {error}")]) from error
    if not isinstance(whole, dict):
        raise MalformedBodyError(fields=[FieldError("body", "must be a JSON object")])
    return whole


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def fingerprint(body: JsonObject) -> str:
    """A digest of a body that does not depend on the order of its fields."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


F = TypeVar("F", bound=_Form)


def _validate(form: type[F], body: JsonObject) -> F:
    try:
        return form.model_validate(body)
    except ValidationError as error:
        raise InvalidRequestError(fields=field_errors(error)) from error


def _check_model(model: object, field: str) -> str | None:
    if model is not None and not isinstance(model, str):
        raise InvalidRequestError(fields=[FieldError(field, "must be the name of a checkpoint")])
    return model


READERS: dict[str, Callable[[bytes], TaskRequest]] = {"v1alpha1": read_v1alpha1, "v1alpha2": read_v1alpha2}
"""How a request of each version of the API is read."""
