"""What the demo asks for: the user guide's own requests, and two that must go wrong."""

from dataclasses import dataclass
from typing import Any

from darkroom.models import JsonObject
from darkroom.tasks import TaskStatus

MODEL = "v1-5-pruned-emaonly.safetensors"
PROMPT = "cat wizard, gandalf, lord of the rings, detailed, fantasy, cute, adorable, Pixar, Disney, 8k"
UPSCALE = 4
SIDE = 256
"""The input picture's sides, in pixels."""


@dataclass(frozen=True)
class DemoTask:
    """A request and what must come of it.

    `size` is that of the images in pixels, `error` the type of the failure.
    """

    title: str
    version: str
    id: str
    body: JsonObject
    ends: TaskStatus = TaskStatus.SUCCEEDED
    size: tuple[int, int] = (512, 512)
    error: str | None = None


def demo_tasks(http_link: str, s3_link: str) -> tuple[DemoTask, ...]:
    """The requests; the links name one picture, on a web server and in a bucket."""
    upscaled = (SIDE * UPSCALE, SIDE * UPSCALE)
    return (
        DemoTask("text to image", "v1alpha2", "test-t2i", _v1alpha2("test-t2i", "text-to-image", _text())),
        DemoTask(
            "image to image, input by http link",
            "v1alpha2",
            "test-i2i",
            _v1alpha2("test-i2i", "image-to-image", _image(http_link)),
        ),
        DemoTask(
            "image to image, input by s3 link",
            "v1alpha2",
            "test-i2i-s3",
            _v1alpha2("test-i2i-s3", "image-to-image", _image(s3_link)),
        ),
        DemoTask(
            "upscale with Lanczos",
            "v1alpha2",
            "test-extra",
            _v1alpha2("test-extra", "extra-single-image", _extra(http_link)),
            size=upscaled,
        ),
        DemoTask("text to image, by checkpoint", "v1alpha1", "test-t2i-v1", _v1alpha1("test-t2i-v1")),
        DemoTask(
            "a checkpoint that is not there",
            "v1alpha2",
            "test-missing",
            _v1alpha2(
                "test-missing",
                "text-to-image",
                _text() | {"alwayson_scripts": {"sd_model_checkpoint": "missing.safetensors"}},
            ),
            ends=TaskStatus.FAILED,
            error="model_not_found",
        ),
    )


def _v1alpha2(id_: str, tasktype: str, content: JsonObject) -> JsonObject:
    metadata: dict[str, Any] = {
        "id": id_,
        "runtime": "sdruntime",
        "tasktype": tasktype,
        "prefix": "output",
        "context": {"abc": 123},
    }
    return {"task": {"metadata": metadata, "content": content}}


def _v1alpha1(id_: str) -> JsonObject:
    controls = {"task": "text-to-image", "sd_model_checkpoint": MODEL, "id_task": id_, "save_dir": "outputs"}
    return {"alwayson_scripts": controls, "prompt": "A dog", "steps": 16, "width": 512, "height": 512}


def _text() -> JsonObject:
    return {"alwayson_scripts": {}, "prompt": "A dog", "steps": 16, "width": 512, "height": 512}


def _image(link: str) -> JsonObject:
    return _text() | {"prompt": PROMPT, "init_images": [link]}


def _extra(link: str) -> JsonObject:
    return {
        "resize_mode": 0,
        "show_extras_results": False,
        "gfpgan_visibility": 0,
        "codeformer_visibility": 0,
        "codeformer_weight": 0,
        "upscaling_resize": UPSCALE,
        "upscaling_resize_w": 512,
        "upscaling_resize_h": 512,
        "upscaling_crop": False,
        "upscaler_1": "Lanczos",
        "upscaler_2": "None",
        "extras_upscaler_2_visibility": 0,
        "upscale_first": False,
        "image": link,
    }
