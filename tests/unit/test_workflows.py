"""Checking ComfyUI workflows before anything is accepted."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from darkroom.content import check_content
from darkroom.errors import InvalidRequestError
from darkroom.requests import read_v1alpha1, read_v1alpha2
from darkroom.runtimes import Runtime, RuntimeType
from darkroom.tasks import TaskType
from darkroom.workflows import MAX_DEPTH, MAX_FAULTS, check_workflow, sort_key


def node(class_type: str = "ImageScale", **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


GRAPH = {
    "1": node("LoadImage", image="https://example.com/a/../b.png"),
    "2": node(image=["1", 0], upscale_method="lanczos", width=64, height=64, crop="disabled"),
    "9": node("SaveImage", images=["2", 0], filename_prefix="x") | {"_meta": {"title": "Save"}},
}


def faults(graph: dict[str, Any], at: str = "task.content") -> dict[str, str]:
    with pytest.raises(InvalidRequestError) as caught:
        check_workflow(graph, at)
    return {fault.field: fault.message for fault in caught.value.fields}


def chain(length: int) -> dict[str, Any]:
    """So many nodes one after the other."""
    return {str(n): node(image=[str(n - 1), 0], mask=[str(n // 2), 0]) if n else node() for n in range(length)}


def test_a_graph_may_be_as_deep_as_the_runtime_can_go() -> None:
    check_workflow(chain(MAX_DEPTH), "task.content")
    wide = {f"w{number}": node(image=["0", 0]) for number in range(2000)}
    check_workflow(chain(MAX_DEPTH) | wide, "task.content")
    assert {"task.content": "has 301 nodes one after the other; at most 300 are taken"} == faults(chain(301))


@pytest.mark.parametrize(("length", "named"), [(1, "c0, c0"), (2, "c0, c1, c0"), (2000, ", …")])
def test_a_circle_is_refused_although_nothing_needs_it(length: int, named: str) -> None:
    # ComfyUI only looks for circles behind outputs; its worker follows all others until Python ends it
    circle = {f"c{number}": node(image=[f"c{(number + 1) % length}", 0]) for number in range(length)}
    behind = {f"b{number}": node(image=[f"b{number - 1}" if number else "c0", 0]) for number in range(50)}
    message = faults(GRAPH | circle | behind)["task.content"]
    assert message.startswith("has links in a circle: nodes c")
    assert sorted(named.split(", ")) == sorted(message.partition("nodes ")[2].split(", ")) or named in message


def test_the_guides_pipeline_request_is_read_and_its_content_is_the_graph() -> None:
    metadata = {
        "id": "test-pipeline",
        "runtime": "comfy",
        "tasktype": "pipeline",
        "prefix": "output",
        "context": "",
    }
    request = read_v1alpha2(json.dumps({"task": {"metadata": metadata, "content": GRAPH}}).encode())
    assert (TaskType.PIPELINE, GRAPH, None) == (request.type, request.content, request.model)


def test_a_pipeline_is_not_asked_for_by_v1alpha1() -> None:
    controls = {"task": "pipeline", "sd_model_checkpoint": "x", "id_task": "a"}
    with pytest.raises(InvalidRequestError) as caught:
        read_v1alpha1(json.dumps({"alwayson_scripts": controls, **GRAPH}).encode())
    assert [("alwayson_scripts.task", "a pipeline is asked for by v1alpha2")] == [
        (fault.field, fault.message) for fault in caught.value.fields
    ]


def test_the_image_of_an_interrogation_may_come_as_v1alpha1s_image_link() -> None:
    controls = {"task": "interrogate", "sd_model_checkpoint": "x", "id_task": "a", "image_link": "s3://b/k.png"}
    request = read_v1alpha1(json.dumps({"alwayson_scripts": controls, "model": "clip"}).encode())
    assert (TaskType.INTERROGATE, "s3://b/k.png") == (request.type, request.content["image"])


@pytest.mark.parametrize(
    ("content", "field"),
    [({"model": "clip"}, "content.image"), ({"image": "x", "model": "blip"}, "content.model")],
)
def test_an_interrogation_needs_an_image_and_a_model_that_there_is(content: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_content(TaskType.INTERROGATE, content, "content")
    assert [field] == [fault.field for fault in caught.value.fields]


def runtime(type_: str, *task_types: str) -> Runtime:
    """A runtime as its registration says it."""
    return Runtime.model_validate({"name": "a", "type": type_, "task_types": list(task_types) or [""]})


@pytest.mark.parametrize("type_", [RuntimeType.HTTP, "invokeai"])
def test_a_runtime_of_ones_own_takes_every_type_or_those_that_its_stack_lists(type_: str) -> None:
    assert frozenset(TaskType) == runtime(type_).able
    listed = runtime(type_, "interrogate", "text-to-image")
    assert listed.can_do(TaskType.INTERROGATE)
    assert not listed.can_do(TaskType.PIPELINE)


def test_comfyui_takes_pipelines_and_sd_webui_does_not_whatever_is_listed() -> None:
    assert {TaskType.PIPELINE} == runtime("comfyui").able
    assert TaskType.PIPELINE not in runtime("sdwebui", *TaskType).able
    assert {TaskType.INTERROGATE} == runtime("sdwebui", "interrogate", "pipeline").able


@pytest.mark.parametrize("wrong", [{"type": "SD WebUI"}, {"type": "http", "task_types": ["tekst-to-image"]}])
def test_what_a_registration_cannot_say_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Runtime.model_validate({"name": "a"} | wrong)


def test_the_editors_own_format_is_told_apart() -> None:
    editor = {"last_node_id": 9, "nodes": [{"id": 1, "type": "LoadImage"}], "links": [], "version": 0.4}
    found = faults(editor)
    assert ["task.content"] == list(found)
    assert "Save (API Format)" in found["task.content"]


def test_a_graph_wrapped_as_comfyuis_api_takes_it_is_told_apart() -> None:
    assert "send the graph itself" in faults({"prompt": GRAPH, "client_id": "x"})["task.content"]


@pytest.mark.parametrize(
    ("broken", "field", "message"),
    [
        ({"9": node("SaveImage", images=["3", 0])}, "9.inputs.images", "'3'"),
        ({"9": node("SaveImage", images=["2", -1])}, "9.inputs.images", "below 0"),
        ({"9": {"inputs": {}}}, "9.class_type", "name of the node's class"),
        ({"9": {"class_type": " ", "inputs": {}}}, "9.class_type", "name of the node's class"),
        ({"9": {"class_type": "SaveImage"}}, "9.inputs", "must be an object"),
        ({"9": {"class_type": "SaveImage", "inputs": []}}, "9.inputs", "must be an object"),
        ({"extra_data": None}, "extra_data", "is no node"),
        ({"client_id": "me"}, "client_id", "is no node"),
    ],
)
def test_a_fault_is_named_with_its_place(broken: dict[str, Any], field: str, message: str) -> None:
    found = faults(GRAPH | broken)
    assert [f"task.content.{field}"] == list(found)
    assert message in found[f"task.content.{field}"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("../../etc/passwd", "parents"),
        ("sub/../../x.png", "parents on the way"),
        ("..", "the parent itself"),
        (".. [input]", "the same, with a folder's name"),
        (r"..\x.png", "parents as Windows writes them"),
        ("/etc/passwd", "a root"),
        ("C:\\x.png", "a drive"),
        ("y.png [output]", "other jobs' outputs"),
        ("y.png[temp]", "other jobs' previews"),
        ({"__value__": "../x.png"}, "wrapped, as ComfyUI takes values too"),
        ({"__value__": ["x.png", "../x.png"]}, "wrapped in a list"),
    ],
)
def test_names_that_lead_out_of_the_input_folder_are_refused(value: object, reason: str) -> None:
    assert ["1.inputs.image"] == list(faults(GRAPH | {"1": node("LoadImage", image=value)}, "")), reason
    assert ["1.inputs.mask_path"] == list(faults({"1": node("Own", mask_path=value)}, "")), reason


@pytest.mark.parametrize(
    "value",
    [
        "example.png",
        "sub/example.png [input]",
        "a..b.png",
        "s3://bucket/a/../b.png",
        "data:image/png;base64,/9j/4AAQ",
        "/9j/" + "4AAQ" * 80,
    ],
)
def test_names_links_and_images_are_taken(value: str) -> None:
    check_workflow(GRAPH | {"1": node("LoadImage", image=value)}, "")


def test_words_are_not_mistaken_for_files() -> None:
    words = node("CLIPTextEncode", text="/imagine a dog ../ [output]", clip=["4", 1])
    loader = node("Efficient Loader", ckpt_name="xl/sd.safetensors", positive="/a dog " * 99, negative="../x")
    check_workflow({"3": words, "4": loader, "5": node("LoadOwn", notes="one\n/two")}, "")


def test_lists_that_are_no_links_are_left_to_the_runtime() -> None:
    check_workflow({"1": node("Own", size=[64, 64], points=["1", "2"], curve=[1, 2, 3])}, "")


def test_a_graph_with_many_faults_names_some() -> None:
    assert MAX_FAULTS == len(faults({str(number): {} for number in range(100)}))


def test_a_deep_graph_is_no_trouble() -> None:
    deep: Any = "x.png"
    for _ in range(5000):
        deep = [deep]
    check_workflow({"1": node("LoadImage", image=deep)}, "")


def test_nodes_are_ordered_as_people_count() -> None:
    assert ["2", "9", "10", "57", "57:3", "57:12", "a2", "a10"] == sorted(
        ["10", "a10", "57:12", "9", "57", "2", "a2", "57:3"], key=sort_key
    )
