"""Contents from what people say on a command line: a prompt, a size, a picture on their disk."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.models import JsonObject
from darkroom.tasks import TaskType
from darkroom_cli.errors import UsageError

_LINK = re.compile(r"(s3|https?)://|data:")
_SIZE = re.compile(r"(\d+)x(\d+)")


@dataclass(frozen=True)
class Wishes:
    """What was said. `base` is a content to begin with; `settings` are `KEY=VALUE`, with dots in the key."""

    type: str | None = None
    base: JsonObject | None = None
    fields: Mapping[str, Any] | None = None
    size: str | None = None
    images: Sequence[str] = ()
    mask: str | None = None
    upscale: float | None = None
    settings: Sequence[str] = ()


def build_content(wishes: Wishes, upload: Callable[[Path], str]) -> tuple[str, JsonObject]:
    """The task's type, and its content. Pictures on this machine are uploaded, and named by their links.

    Raises:
        UsageError: something that was said makes no sense, or contradicts something else.
        TransferError: a picture could not be uploaded.
    """
    content = json.loads(json.dumps(wishes.base or {}))
    content |= {name: value for name, value in (wishes.fields or {}).items() if value is not None}
    if wishes.size is not None:
        content |= _read_size(wishes.size)
    if wishes.upscale is not None:
        content["upscaling_resize"] = wishes.upscale
    for setting in wishes.settings:
        _apply(content, setting)
    type_ = wishes.type or _guess_type(wishes, content)
    if wishes.images:
        _place_images(type_, content, [_link(image, upload) for image in wishes.images])
    if wishes.mask is not None:
        content["mask"] = _link(wishes.mask, upload)
    if not content:
        hint = 'Say `--prompt "A dog"`, `--image cat.png --upscale 4`, or `--content file.json`.'
        raise UsageError("There is nothing to do.", hint=hint)
    return type_, content


def read_content(text: str, name: str) -> JsonObject:
    """A content from a file's text.

    Raises:
        UsageError: it is no JSON object.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{name} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{name} holds no JSON object")
    return content


def _guess_type(wishes: Wishes, content: JsonObject) -> TaskType:
    if content and all(isinstance(node, dict) and "class_type" in node for node in content.values()):
        return TaskType.PIPELINE
    if "imageList" in content:
        return TaskType.EXTRA_BATCH_IMAGES
    if wishes.upscale is not None or "upscaler_1" in content or "upscaling_resize" in content:
        return TaskType.EXTRA_BATCH_IMAGES if len(wishes.images) > 1 else TaskType.EXTRA_SINGLE_IMAGE
    if wishes.images or "init_images" in content:
        return TaskType.IMAGE_TO_IMAGE
    return TaskType.TEXT_TO_IMAGE


def _place_images(type_: str, content: JsonObject, links: Sequence[str]) -> None:
    match type_:
        case TaskType.IMAGE_TO_IMAGE:
            content["init_images"] = list(links)
        case TaskType.EXTRA_SINGLE_IMAGE | TaskType.INTERROGATE:
            if len(links) > 1:
                raise UsageError(f"{type_} takes one image; for more, use `--type {TaskType.EXTRA_BATCH_IMAGES}`.")
            content["image"] = links[0]
        case TaskType.EXTRA_BATCH_IMAGES:
            content["imageList"] = [{"data": link, "name": link.rpartition("/")[2]} for link in links]
        case _:
            hint = "Upload it with `darkroom upload`, and put the link where the content needs it with --set."
            raise UsageError(f"A task of type {type_} has no place for --image.", hint=hint)


def _link(image: str, upload: Callable[[Path], str]) -> str:
    return image if _LINK.match(image) else upload(Path(image))


def _read_size(size: str) -> JsonObject:
    match = _SIZE.fullmatch(size)
    if match is None:
        raise UsageError(f"{size!r} is no size: say it in pixels, as in 768x512.")
    return {"width": int(match[1]), "height": int(match[2])}


def _apply(content: JsonObject, setting: str) -> None:
    """Set one field, at any depth; what is no JSON is text."""
    path, equals, text = setting.partition("=")
    if not equals or not all(keys := path.split(".")):
        raise UsageError(f"{setting!r} sets nothing: say KEY=VALUE, as in 6.inputs.text=a dog.")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    place: Any = content
    for key in keys[:-1]:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise UsageError(f"{setting!r}: {key!r} holds no fields.")
    place[keys[-1]] = value
