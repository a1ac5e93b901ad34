"""Contents from what is said on a command line."""

from pathlib import Path
from typing import Any

import pytest

from darkroom_cli.contents import Wishes, build_content, read_content
from darkroom_cli.errors import UsageError

GRAPH = {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat"}}}


def upload(path: Path) -> str:
    return f"s3://bucket/{path.name}"


@pytest.mark.parametrize(
    ("wishes", "type_", "content"),
    [
        pytest.param(
            Wishes(fields={"prompt": "A dog", "steps": 16, "seed": None}, size="512x768"),
            "text-to-image",
            {"prompt": "A dog", "steps": 16, "width": 512, "height": 768},
            id="a prompt",
        ),
        pytest.param(
            Wishes(fields={"prompt": "wizard"}, images=["cat.png"], mask="https://x/mask.png"),
            "image-to-image",
            {"prompt": "wizard", "init_images": ["s3://bucket/cat.png"], "mask": "https://x/mask.png"},
            id="a picture and a prompt",
        ),
        pytest.param(
            Wishes(images=["s3://b/cat.png"], upscale=4, fields={"upscaler_1": "Lanczos"}),
            "extra-single-image",
            {"image": "s3://b/cat.png", "upscaling_resize": 4, "upscaler_1": "Lanczos"},
            id="a picture to enlarge",
        ),
        pytest.param(
            Wishes(images=["a.png", "b.png"], upscale=2),
            "extra-batch-images",
            {
                "upscaling_resize": 2,
                "imageList": [
                    {"data": "s3://bucket/a.png", "name": "a.png"},
                    {"data": "s3://bucket/b.png", "name": "b.png"},
                ],
            },
            id="pictures to enlarge",
        ),
        pytest.param(
            Wishes(type="interrogate", images=["a.png"]),
            "interrogate",
            {"image": "s3://bucket/a.png"},
            id="a question",
        ),
        pytest.param(
            Wishes(base=GRAPH, settings=["6.inputs.text=a lighthouse", "6.inputs.width=8"]),
            "pipeline",
            {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lighthouse", "width": 8}}},
            id="a graph, changed",
        ),
        pytest.param(
            Wishes(base={"prompt": "A dog", "steps": 4}, fields={"steps": 9}),
            "text-to-image",
            {"prompt": "A dog", "steps": 9},
            id="options go on top of a file",
        ),
    ],
)
def test_what_is_said_becomes_a_type_and_a_content(wishes: Wishes, type_: str, content: Any) -> None:
    assert build_content(wishes, upload) == (type_, content)


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        pytest.param(Wishes(), "nothing to do", id="nothing"),
        pytest.param(Wishes(size="large"), "768x512", id="a size that is none"),
        pytest.param(Wishes(settings=["steps"]), "KEY=VALUE", id="a setting without a value"),
        pytest.param(Wishes(settings=["a..b=1"]), "KEY=VALUE", id="a setting with an empty key"),
        pytest.param(Wishes(base={"a": 1}, settings=["a.b=1"]), "holds no fields", id="a setting inside a number"),
        pytest.param(Wishes(type="text-to-image", images=["a.png"]), "no place", id="a picture for text-to-image"),
        pytest.param(Wishes(base=GRAPH, images=["a.png"]), "no place", id="a picture for a graph"),
        pytest.param(Wishes(type="extra-single-image", images=["a", "b"]), "takes one image", id="two for one"),
    ],
)
def test_what_makes_no_sense_is_told(wishes: Wishes, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        build_content(wishes, upload)


def test_the_file_that_a_content_came_from_is_not_changed() -> None:
    build_content(Wishes(base=GRAPH, settings=["6.inputs.text=x"]), upload)

    assert GRAPH["6"]["inputs"] == {"text": "a cat"}


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_a_file_without_an_object_is_told_by_its_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"request\.json"):
        read_content(text, "request.json")
