"""What a task of each type may contain: the request bodies of the runtimes' own APIs.

A model here only checks. What the caller sent is passed on as it is, with the fields that the model does not
know, since runtimes and their extensions take more than is listed.

Ranges are those of the SD WebUI (`modules/api/models.py` and its sliders).
"""

from collections.abc import Mapping
from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from darkroom.errors import FieldError, InvalidRequestError
from darkroom.models import JsonObject
from darkroom.tasks import TaskType
from darkroom.workflows import check_workflow

Image = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
"""A link (http, https, s3), a data URI, or base64."""

Pixels = Annotated[int, Field(ge=64, le=2048, multiple_of=8)]


class Content(BaseModel):
    """What every content allows: more fields than it names."""

    model_config = ConfigDict(extra="allow", frozen=True)


class TextToImage(Content):
    """The body of `/sdapi/v1/txt2img`."""

    prompt: str = ""
    negative_prompt: str = ""
    steps: Annotated[int, Field(ge=1, le=150)] = 50
    width: Pixels = 512
    height: Pixels = 512
    batch_size: Annotated[int, Field(ge=1)] = 1
    n_iter: Annotated[int, Field(ge=1)] = 1
    seed: int = -1
    alwayson_scripts: dict[str, Any] = Field(default_factory=dict)
    override_settings: dict[str, Any] = Field(default_factory=dict)


class ImageToImage(TextToImage):
    """The body of `/sdapi/v1/img2img`."""

    init_images: Annotated[list[Image], Field(min_length=1)]
    mask: Image | None = None
    denoising_strength: Annotated[float, Field(ge=0, le=1)] = 0.75


class _Extra(Content):
    resize_mode: Annotated[int, Field(ge=0, le=1)] = 0
    upscaling_resize: Annotated[float, Field(ge=1, le=8)] = 2
    upscaling_resize_w: Annotated[int, Field(ge=1)] = 512
    upscaling_resize_h: Annotated[int, Field(ge=1)] = 512
    upscaler_1: str = "None"
    upscaler_2: str = "None"


class ExtraSingleImage(_Extra):
    """The body of `/sdapi/v1/extra-single-image`."""

    image: Image


class NamedImage(Content):
    """One image of a batch; the runtime drops the name."""

    data: Image
    name: str = ""


class ExtraBatchImages(_Extra):
    """The body of `/sdapi/v1/extra-batch-images`."""

    imageList: Annotated[list[NamedImage], Field(min_length=1)]  # noqa: N815  the runtime's own name


class Interrogate(Content):
    """The body of `/sdapi/v1/interrogate`."""

    image: Image
    model: Literal["clip", "deepdanbooru"] = "clip"


CONTENTS: Mapping[TaskType, type[Content]] = {
    TaskType.TEXT_TO_IMAGE: TextToImage,
    TaskType.IMAGE_TO_IMAGE: ImageToImage,
    TaskType.EXTRA_SINGLE_IMAGE: ExtraSingleImage,
    TaskType.EXTRA_BATCH_IMAGES: ExtraBatchImages,
    TaskType.INTERROGATE: Interrogate,
}
"""A pipeline is not among them: its fields are the nodes of a graph (`darkroom.workflows`)."""


def check_content(type_: TaskType, content: JsonObject, at: str) -> None:
    """Check a content.

    Args:
        type_: the task's type.
        content: what the caller sent.
        at: where it stands in the body (`task.content`), for the messages.

    Raises:
        InvalidRequestError: it is empty, or fields of it are missing or wrong.
    """
    if not content:
        raise InvalidRequestError(fields=[FieldError(at, "must not be empty")])
    if type_ is TaskType.PIPELINE:
        check_workflow(content, at)
        return
    try:
        CONTENTS[type_].model_validate(content)
    except ValidationError as error:
        raise InvalidRequestError(fields=field_errors(error, at)) from error


def field_errors(error: ValidationError, at: str = "") -> list[FieldError]:
    """What pydantic found, as fields by their path in the body."""
    return [
        FieldError(_path(at, fault["loc"]), _MESSAGES.get(fault["type"]) or _reword(fault["msg"]))
        for fault in error.errors()
    ]


_MESSAGES = {"missing": "is missing", "extra_forbidden": "is no field of this request"}


def _reword(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "must be")


def _path(at: str, location: tuple[int | str, ...]) -> str:
    return reduce(extend_path, location, at)


def extend_path(path: str, part: int | str) -> str:
    """A path in a body, one step longer: `content` and `images` make `content.images`, and 0 makes `content[0]`."""
    if isinstance(part, int):
        return f"{path}[{part}]"
    return f"{path}.{part}" if path else part


def take_model(content: JsonObject) -> tuple[JsonObject, object]:
    """Split a content into what the runtime takes and the checkpoint that it asks for.

    The guide puts the checkpoint's name among `alwayson_scripts`, where the WebUI knows scripts only and would
    refuse it. `override_settings.sd_model_checkpoint` is the WebUI's own way to say the same.
    """
    scripts = content.get("alwayson_scripts")
    settings = content.get("override_settings")
    model = settings.get("sd_model_checkpoint") if isinstance(settings, dict) else None
    if isinstance(scripts, dict) and "sd_model_checkpoint" in scripts:
        model = scripts["sd_model_checkpoint"]
        rest = {name: value for name, value in scripts.items() if name != "sd_model_checkpoint"}
        content = content | {"alwayson_scripts": rest}
    return content, model or None
