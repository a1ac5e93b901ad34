"""Reading the guide's requests, and saying what is wrong with others."""

import json
from typing import Any

import pytest

from darkroom.bodies import MAX_BODY
from darkroom.errors import BodyTooLargeError, InvalidRequestError, MalformedBodyError, RequestError
from darkroom.requests import read_v1alpha1, read_v1alpha2
from darkroom.tasks import TaskType

CAT = "https://huggingface.co/datasets/huggingface/documentation-images/resolve/main/diffusers/cat.png"


def v2(metadata: dict[str, Any] | None = None, content: Any = None) -> dict[str, Any]:
    base = {
        "id": "test-t2i",
        "runtime": "sdruntime",
        "tasktype": "text-to-image",
        "prefix": "output",
        "context": "",
    }
    default = {"alwayson_scripts": {}, "prompt": "A dog", "steps": 16, "width": 512, "height": 512}
    return {"task": {"metadata": base | (metadata or {}), "content": default if content is None else content}}


def v1(controls: dict[str, Any] | None = None, **content: Any) -> dict[str, Any]:
    base = {
        "task": "text-to-image",
        "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
        "id_task": "test-t2i",
        "save_dir": "outputs",
    }
    default = {"prompt": "A dog", "steps": 16, "width": 512, "height": 512}
    return {"alwayson_scripts": base | (controls or {}), **(default | content)}


def encode(body: Any) -> bytes:
    return json.dumps(body).encode()


def without(body: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = body
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return body


def test_the_guides_v1alpha2_request_is_read() -> None:
    request = read_v1alpha2(encode(v2()))

    assert (request.id, request.runtime, request.type, request.prefix, request.context, request.model) == (
        "test-t2i",
        "sdruntime",
        TaskType.TEXT_TO_IMAGE,
        "output",
        "",
        None,
    )
    assert request.content == v2()["task"]["content"]


def test_a_wanted_checkpoint_is_taken_out_of_the_scripts_and_the_scripts_stay() -> None:
    scripts = {"sd_model_checkpoint": "x.safetensors", "controlnet": {"args": []}}

    request = read_v1alpha2(encode(v2(content={"prompt": "A dog", "alwayson_scripts": scripts})))

    assert request.model == "x.safetensors"
    assert request.content == {"prompt": "A dog", "alwayson_scripts": {"controlnet": {"args": []}}}


def test_override_settings_name_a_checkpoint_too_and_stay() -> None:
    content = {"prompt": "A dog", "override_settings": {"sd_model_checkpoint": "x", "CLIP_stop_at_last_layers": 2}}

    request = read_v1alpha2(encode(v2(content=content)))

    assert (request.model, request.content) == ("x", content)


def test_the_guides_v1alpha1_request_is_read() -> None:
    request = read_v1alpha1(encode(v1()))

    assert (request.id, request.runtime, request.type, request.prefix, request.context, request.model) == (
        "test-t2i",
        None,
        TaskType.TEXT_TO_IMAGE,
        "outputs",
        {},
        "v1-5-pruned-emaonly.safetensors",
    )
    assert request.content == {
        "prompt": "A dog",
        "steps": 16,
        "width": 512,
        "height": 512,
        "alwayson_scripts": {},
    }


def test_the_guides_v1alpha1_image_to_image_takes_its_link_and_needs_no_folder() -> None:
    body = without(
        v1({"task": "image-to-image", "image_link": CAT, "id_task": "test-i2i"}), "alwayson_scripts", "save_dir"
    )

    request = read_v1alpha1(encode(body))

    assert (request.prefix, request.content["init_images"]) == ("output", [CAT])


def test_unknown_fields_of_a_content_pass() -> None:
    request = read_v1alpha2(encode(v2(content={"prompt": "A dog", "scheduler": "Karras", "hr_scale": 2})))

    assert request.content == {"prompt": "A dog", "scheduler": "Karras", "hr_scale": 2}


def test_a_fingerprint_does_not_depend_on_the_order_of_fields() -> None:
    body = v2()
    backwards = {"task": dict(reversed(body["task"].items()))}

    assert read_v1alpha2(encode(body)).fingerprint == read_v1alpha2(encode(backwards)).fingerprint
    assert read_v1alpha2(encode(body)).fingerprint != read_v1alpha2(encode(v2({"context": "x"}))).fingerprint


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(without(v2(), "task"), "task", id="no task"),
        pytest.param(without(v2(), "task", "metadata"), "task.metadata", id="no metadata"),
        pytest.param(without(v2(), "task", "content"), "task.content", id="no content"),
        *(
            pytest.param(without(v2(), "task", "metadata", name), f"task.metadata.{name}", id=f"no {name}")
            for name in ("id", "runtime", "tasktype", "prefix")
        ),
        pytest.param(v2(content={}), "task.content", id="empty content"),
        pytest.param(v2(content=[]), "task.content", id="content of the wrong type"),
        pytest.param(v2({"tasktype": "text-to-video"}), "task.metadata.tasktype", id="unknown type of task"),
        pytest.param(v2({"tasktype": 7}), "task.metadata.tasktype", id="type of the wrong type"),
        pytest.param(v2({"runtime": ""}), "task.metadata.runtime", id="empty runtime"),
        *(
            pytest.param(v2({"id": bad}), "task.metadata.id", id=f"id {bad!r}")
            for bad in ("", "a/b", "..", "a..b", "-a", ".a", "a b", "ä", "a\n", "x" * 129, 7, None)
        ),
        *(
            pytest.param(v2({"prefix": bad}), "task.metadata.prefix", id=f"prefix {bad!r}")
            for bad in ("", "/", "/a", "a//b", "../a", "a/../b", "a/..", ".requests", "a\\b", "a\n", "x" * 600, 7)
        ),
        pytest.param(v2({"context": "x" * 20_000}), "task.metadata.context", id="large context"),
        pytest.param(v2(content={"steps": 151}), "task.content.steps", id="too many steps"),
        pytest.param(v2(content={"steps": "many"}), "task.content.steps", id="steps of the wrong type"),
        pytest.param(v2(content={"width": 63}), "task.content.width", id="too narrow"),
        pytest.param(v2(content={"height": 4096}), "task.content.height", id="too high"),
        pytest.param(v2(content={"alwayson_scripts": []}), "task.content.alwayson_scripts", id="scripts no object"),
        pytest.param(
            v2(content={"prompt": "", "alwayson_scripts": {"sd_model_checkpoint": 1}}),
            "task.content.alwayson_scripts.sd_model_checkpoint",
            id="checkpoint no text",
        ),
        pytest.param(
            v2({"tasktype": "image-to-image"}, {"prompt": "A"}), "task.content.init_images", id="no input image"
        ),
        pytest.param(
            v2({"tasktype": "image-to-image"}, {"init_images": [CAT, ""]}),
            "task.content.init_images[1]",
            id="empty input image",
        ),
        pytest.param(
            v2({"tasktype": "extra-single-image"}, {"upscaler_1": "Lanczos"}), "task.content.image", id="no image"
        ),
        pytest.param(
            v2({"tasktype": "extra-single-image"}, {"image": CAT, "resize_mode": 2}),
            "task.content.resize_mode",
            id="resize mode",
        ),
        pytest.param(
            v2({"tasktype": "extra-batch-images"}, {"imageList": [{"name": "a"}]}),
            "task.content.imageList[0].data",
            id="batch without data",
        ),
    ],
)
def test_a_wrong_v1alpha2_field_is_named(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_v1alpha2(encode(body))

    assert [fault.field for fault in caught.value.fields] == [field]
    assert all(fault.message for fault in caught.value.fields)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({"prompt": "A dog"}, "alwayson_scripts", id="no controls"),
        *(
            pytest.param(without(v1(), "alwayson_scripts", name), f"alwayson_scripts.{name}", id=f"no {name}")
            for name in ("task", "sd_model_checkpoint", "id_task")
        ),
        pytest.param({"alwayson_scripts": v1()["alwayson_scripts"]}, "prompt", id="no content"),
        pytest.param(v1(steps=0), "steps", id="no steps"),
        pytest.param(v1({"task": "image-to-image"}), "init_images", id="no input image"),
        pytest.param(v1({"save_dir": "../x"}), "alwayson_scripts.save_dir", id="folder upwards"),
    ],
)
def test_a_wrong_v1alpha1_field_is_named(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_v1alpha1(encode(body))

    assert [fault.field for fault in caught.value.fields] == [field]


def test_every_fault_of_a_body_is_named_at_once() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_v1alpha2(encode({"task": {"metadata": {"id": "a/b", "tasktype": "x"}, "content": {"a": 1}}}))

    assert {fault.field.removeprefix("task.metadata.") for fault in caught.value.fields} == {
        "id",
        "runtime",
        "tasktype",
        "prefix",
    }


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"text"', id="a text"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff\xfe{}", id="no UTF-8"),
        pytest.param(b'{"a": NaN}', id="NaN"),
        pytest.param(b'{"a": -Infinity}', id="Infinity"),
        pytest.param(b'{"a":' * 100_000, id="very deep"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", id="a number of 5,000 digits"),
    ],
)
@pytest.mark.parametrize("read", [read_v1alpha1, read_v1alpha2])
def test_a_body_that_is_no_json_object_is_refused_as_such(read: Any, body: bytes) -> None:
    with pytest.raises(MalformedBodyError) as caught:
        read(body)

    assert [fault.field for fault in caught.value.fields] == ["body"]


def test_a_body_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(BodyTooLargeError) as caught:
        read_v1alpha2(b"x" * (MAX_BODY + 1))

    assert [fault.field for fault in caught.value.fields] == ["body"]


def test_a_trailing_slash_of_a_prefix_is_dropped() -> None:
    assert read_v1alpha2(encode(v2({"prefix": "output/today/"}))).prefix == "output/today"


def test_every_request_error_says_what_it_is() -> None:
    def tree(kind: type[RequestError]) -> list[type[RequestError]]:
        return [kind, *(leaf for below in kind.__subclasses__() for leaf in tree(below))]

    assert all(str(kind()) for kind in tree(RequestError))
