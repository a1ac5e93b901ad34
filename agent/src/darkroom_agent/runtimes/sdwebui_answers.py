"""Reading what the WebUI answers: images, and faults.

The status tells little: bad base64, an unknown upscaler and a full GPU are all 500.
"""

from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

from darkroom.errors import ExecutionError, TaskFailedError, TaskInterruptedError
from darkroom.tasks import TaskType
from darkroom_agent.encodings import decode
from darkroom_agent.faults import FailedForNowError, RuntimeHungError, RuntimeLostError
from darkroom_agent.runtimes import Outputs
from darkroom_agent.runtimes.answers import machine_fault, tidy, without_files

_CLIENT_FAULTS = frozenset({400, 404, 413, 422})
_GATEWAY_FAULTS = frozenset({502, 503, 504})
_UNAUTHORIZED = frozenset({401, 403})
_NO_MODEL = "'NoneType' object has no attribute 'sd_checkpoint_info'"
"""What a WebUI says that a failed load left without a model; only a restart helps."""


@dataclass(frozen=True)
class Generated:
    """A generation's outputs, its info, and the checkpoint that made them (None where the answer does not say)."""

    outputs: Outputs
    model: str | None
    info: dict[str, Any] = field(default_factory=dict)


def read_outputs(type_: TaskType, answer: dict[str, Any], *, scripted: bool = False, inputs: int = 0) -> Generated:
    """Read a 200 answer.

    Args:
        type_: what was asked for.
        answer: the answer.
        scripted: whether a script (X/Y/Z plot …) decides how many images there are.
        inputs: how many images a batch of upscales was given.

    Raises:
        TaskInterruptedError: images are missing, as from an interrupted job.
        TaskFailedError: an interrogation came to nothing.
    """
    if type_ is TaskType.INTERROGATE:
        return Generated(Outputs((), {"caption": _caption(answer)}), None)
    rest = {name: value for name, value in answer.items() if name not in {"image", "images"}}
    info: dict[str, Any] = {}
    if type_ is TaskType.EXTRA_SINGLE_IMAGE:
        images = [answer.get("image")]
    elif type_ is TaskType.EXTRA_BATCH_IMAGES:
        images = list(answer.get("images") or [])
        if len(images) < inputs:  # interrupted, it answers 200 with what it has
            raise TaskInterruptedError("incomplete", f"the runtime made {len(images)} of {inputs} images")
    else:
        info = _info(answer)
        images = _own_images(answer, info, scripted=scripted)
    if not images or not all(isinstance(image, str) and image for image in images):
        raise TaskInterruptedError("incomplete", "the runtime answered without images")
    try:
        files = tuple(decode(str(image)) for image in images)
    except ValueError as error:
        raise TaskInterruptedError("bad_answer", "the runtime answered with images that are no base64") from error
    kept = without_files(rest)
    if info and without_files(info) != info:  # the WebUI's own form stays, a text, but not the files in it
        kept["info"] = to_json(without_files(info)).decode()
    return Generated(Outputs(files, kept), info.get("sd_model_name") or None, info)


def _caption(answer: dict[str, Any]) -> str:
    """The words for an image. What went wrong in between is written among them, and nowhere else."""
    caption = answer.get("caption")
    if not isinstance(caption, str):
        raise TaskInterruptedError("incomplete", "the runtime answered without a caption")
    if "<error>" in caption:
        raise FailedForNowError("interrogation_failed", "the runtime could not find words for the image")
    return caption


def _info(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer's `info`: JSON within JSON."""
    info = answer.get("info")
    try:
        read = from_json(info) if isinstance(info, str) else info
    except ValueError:
        read = None
    return read if isinstance(read, dict) else {}


def _own_images(answer: dict[str, Any], info: dict[str, Any], *, scripted: bool) -> list[Any]:
    """The images proper: a grid comes before them, ControlNet's maps come after."""
    images = list(answer.get("images") or [])
    first = int(info.get("index_of_first_image") or 0)
    expected = len(info.get("all_seeds") or [])
    if scripted or not expected:
        return images[first:]
    own = images[first : first + expected]
    if len(own) < expected:
        raise TaskInterruptedError("incomplete", f"the runtime made {len(own)} of {expected} images")
    return own


def read_fault(status: int, body: bytes) -> ExecutionError:
    """What an answer that is not 200 means."""
    try:
        answer = from_json(body)
    except ValueError:
        answer = None
    answer = answer if isinstance(answer, dict) else {"detail": body[:4096].decode("utf-8", "replace")}
    if status in _GATEWAY_FAULTS:
        return RuntimeLostError("runtime_lost", f"the runtime answered {status}")
    if status in _UNAUTHORIZED:
        return TaskInterruptedError(
            "runtime_refused", f"the runtime answered {status}: does it ask for a password?"
        )
    if answer.get("detail") == "Not Found":  # FastAPI's own 404: the route is not there at all
        return TaskInterruptedError("runtime_unsuitable", "the runtime does not serve this kind of task")
    message = _message(answer) or f"the runtime answered {status}"
    return _read_complaint(status, answer.get("error"), message)


def _read_complaint(status: int, error: object, message: str) -> ExecutionError:
    fault = machine_fault(message, message)
    if fault is not None:
        return fault
    if _NO_MODEL in message:
        return RuntimeHungError("runtime_hung", "the runtime has no model: it failed to load one")
    if error == "NansException":
        return FailedForNowError("nan_image", message)
    return TaskFailedError("invalid_content" if status in _CLIENT_FAULTS else "runtime_error", message)


def _message(answer: dict[str, Any]) -> str:
    detail = answer.get("detail")
    if isinstance(detail, list):
        return tidy("; ".join(_invalid_field(fault) for fault in detail if isinstance(fault, dict)))
    error = str(answer.get("error") or "")
    texts = [str(answer.get(field) or "") for field in ("detail", "errors", "message")]
    text = next((text for text in texts if text), "")
    if error and error != "HTTPException" and not text.startswith(error):
        text = f"{error}: {text}" if text else error
    return tidy(text)


def _invalid_field(fault: dict[str, Any]) -> str:
    place = "content"
    for part in [part for part in fault.get("loc") or [] if part != "body"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"{place}: {fault.get('msg')}"
