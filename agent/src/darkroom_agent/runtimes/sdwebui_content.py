"""What is changed and checked in a content before the WebUI gets it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from darkroom.errors import TaskFailedError
from darkroom.models import JsonObject
from darkroom.tasks import TaskType
from darkroom_agent.encodings import decode
from darkroom_agent.links import name_place
from darkroom_agent.pictures import PictureError, check_picture

RESIZE_MODES = ("Just Resize", "Crop and Resize", "Resize and Fill")
CONTROL_MODES = ("Balanced", "My prompt is more important", "ControlNet is more important")

_GENERATE = frozenset({TaskType.TEXT_TO_IMAGE, TaskType.IMAGE_TO_IMAGE})
_UNIT_IMAGES = ("image", "mask", "mask_image", "input_image")
_CHECKED_LENGTH = 16 * 1024 * 1024  # longer ones came by link, and were checked then

Place = tuple[str | int, ...]


def build_request(type_: TaskType, content: JsonObject) -> JsonObject:
    """The request's body.

    Raises:
        TaskFailedError: a text stands where an image should be. The WebUI's ControlNet would open a file of that
            name from its own disk.
    """
    if type_ not in _GENERATE:
        _check_images(content)
        return _FILLED[type_](content) if type_ in _FILLED else content
    # an answer without images is of no use to anybody
    request = content | {"send_images": True}
    if request.get("enable_hr"):  # Forge, which has no default for this, fails without it
        request.setdefault("hr_additional_modules", ["Use same choices"])
    settings = request.get("override_settings")
    if isinstance(settings, dict):
        # the model is switched by the options; overridden, it would be loaded and unloaded with every request
        request["override_settings"] = {k: v for k, v in settings.items() if k != "sd_model_checkpoint"}
    scripts = request.get("alwayson_scripts")
    if isinstance(scripts, dict):
        request["alwayson_scripts"] = {name: _script(name, value) for name, value in scripts.items()}
    _check_images(request)
    return request


def _name_images(content: JsonObject) -> JsonObject:
    """The WebUI wants a name for each image of a batch, and drops it."""
    images = [
        {"name": "", **image} if isinstance(image, dict) else image for image in _list(content.get("imageList"))
    ]
    return content | {"imageList": images}


_FILLED: Mapping[TaskType, Callable[[JsonObject], JsonObject]] = {
    TaskType.INTERROGATE: lambda content: {"model": "clip", **content},
    TaskType.EXTRA_BATCH_IMAGES: _name_images,
}
"""What the WebUI will not do without."""


def _script(name: str, value: object) -> object:
    if name.lower() != "controlnet" or not isinstance(value, dict) or not isinstance(value.get("args"), list):
        return value
    return value | {"args": [_unit(unit) if isinstance(unit, dict) else unit for unit in value["args"]]}


def _unit(unit: JsonObject) -> JsonObject:
    """A ControlNet unit that means the same on AUTOMATIC1111 and on Forge."""
    same: JsonObject = {"enabled": True, **unit}
    for field, names in (("resize_mode", RESIZE_MODES), ("control_mode", CONTROL_MODES)):
        number = same.get(field)
        if type(number) is int and 0 <= number < len(names):
            same[field] = names[number]
    return same


def _check_images(request: JsonObject) -> None:
    for place, text in _images(request):
        try:
            check_picture(decode(text))
        except ValueError as error:
            reason = error if isinstance(error, PictureError) else "is neither a link nor base64"
            raise TaskFailedError("input_invalid", f"{name_place(place)}: {reason}") from error


def _images(request: JsonObject) -> Iterator[tuple[Place, str]]:
    """The texts that must be images, with their places."""
    for place, value in _image_places(request):
        if isinstance(value, str) and value and len(value) <= _CHECKED_LENGTH:
            yield place, value


def _image_places(request: JsonObject) -> Iterator[tuple[Place, object]]:
    for field in ("image", "mask"):
        yield (field,), request.get(field)
    for index, image in enumerate(_list(request.get("init_images"))):
        yield ("init_images", index), image
    for index, named in enumerate(_list(request.get("imageList"))):
        yield ("imageList", index, "data"), _object(named).get("data")
    for name, script in _object(request.get("alwayson_scripts")).items():
        if name.lower() == "controlnet":
            for index, unit in enumerate(_list(_object(script).get("args"))):
                yield from _unit_images(("alwayson_scripts", name, "args", index), _object(unit))


def _unit_images(at: Place, unit: JsonObject) -> Iterator[tuple[Place, object]]:
    for field in _UNIT_IMAGES:
        value = unit.get(field)
        yield (*at, field), value
        for inner in ("image", "mask"):
            yield (*at, field, inner), _object(value).get(inner)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}
