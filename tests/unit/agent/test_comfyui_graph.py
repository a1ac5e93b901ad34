"""What becomes of a workflow before ComfyUI gets it."""

import base64
from typing import Any

import pytest

from darkroom.errors import TaskFailedError
from darkroom_agent.inputs import check_file
from darkroom_agent.links import Place, find_links
from darkroom_agent.pictures import PictureError
from darkroom_agent.runtimes.comfyui_graph import (
    INPUTS,
    build_graph,
    check_graph,
    encode_inputs,
    find_files,
)

MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + bytes(64)


def node(class_type: str = "LoadImage", **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def test_any_input_of_a_node_may_be_a_link_but_words_and_titles_are_none() -> None:
    link = "https://example.com/x.png"
    graph = {
        "1": node(image=link) | {"_meta": {"title": link}},
        "2": node("CLIPTextEncode", text=link),
        "3": node("VHS_LoadVideo", name="s3://bucket/v.mp4", deep={"__value__": [link]}),
    }
    assert {
        "content.1.inputs.image": link,
        "content.3.inputs.name": "s3://bucket/v.mp4",
        "content.3.inputs.deep.__value__[0]": link,
    } == {found.place: found.url for found in find_links(graph, INPUTS.words)}


def test_links_may_lead_to_videos_and_sounds_but_to_nothing_else() -> None:
    check_file(MP4, INPUTS.kinds)
    with pytest.raises(PictureError, match="video/mp4"):
        check_file(MP4, frozenset({"image"}))
    with pytest.raises(PictureError, match="no kind that is known"):
        check_file(b"#!/bin/sh", INPUTS.kinds)


def test_one_file_for_several_places_is_uploaded_once_and_named_by_its_bytes(png: bytes) -> None:
    places: list[Place] = [("1", "inputs", "image"), ("2", "inputs", "image"), ("3", "inputs", "video")]
    graph = {number: node(image="https://example.com/x") for number in "123"}
    files = find_files(graph, {places[0]: png, places[1]: png, places[2]: MP4})
    assert [("1.png", tuple(places[:2])), ("2.mp4", (places[2],))] == [(f.name, f.places) for f in files]


def test_a_link_of_a_node_that_takes_base64_becomes_that(png: bytes) -> None:
    place: Place = ("1", "inputs", "image")
    graph = {"1": node("ETN_LoadImageBase64", image="https://example.com/x")}
    assert [] == find_files(graph, {place: png})
    assert {place: base64.b64encode(png).decode()} == encode_inputs(graph, {place: png})
    assert {} == encode_inputs({"1": node(image="https://example.com/x")}, {place: png})


def test_images_that_stand_in_the_graph_become_files_where_a_name_is_wanted(png: bytes) -> None:
    text = base64.b64encode(png).decode()
    uri = f"data:image/png;base64,{text}"
    graph = {
        "1": node(image=uri),
        "2": node("LoadImageBase64", image=uri),  # such nodes want it as it is
        "3": node("CLIPTextEncode", text=uri),
    }
    (found,) = find_files(graph, {})
    assert ((("1", "inputs", "image"),), png) == (found.places, found.data)


def test_a_large_image_as_bare_base64_becomes_a_file(png: bytes) -> None:
    padded = png[:-12] + bytes(300) + png[-12:]
    (found,) = find_files({"1": node(image=base64.b64encode(padded).decode())}, {})
    assert padded == found.data


@pytest.mark.parametrize("data", [b"#!/bin/sh", b"\x89PNG\r\n\x1a\n"])
def test_what_stands_encoded_in_the_graph_is_looked_at(data: bytes) -> None:
    uri = "data:image/png;base64," + base64.b64encode(data).decode()
    with pytest.raises(TaskFailedError, match=r"content\.7\.inputs\.image") as caught:
        find_files({"7": node(image=uri)}, {})
    assert "input_invalid" == caught.value.type


def test_each_save_goes_to_the_runs_own_folder_and_the_tasks_content_is_left_alone() -> None:
    graph = {
        "4": node(image="https://x/y.png"),
        "9": node("SaveImage", images=["4", 0], filename_prefix="../../x"),
        "8": node("SaveImage", images=["4", 0], filename_prefix=["5", 0]),
        "7": node("SaveImageWebsocket", images=["4", 0]),
    }
    built = build_graph(graph, {("4", "inputs", "image"): "darkroom/P/1.png"}, "darkroom/P")
    assert {
        "4": node(image="darkroom/P/1.png"),
        "9": node("SaveImage", images=["4", 0], filename_prefix="darkroom/P/2"),
        "8": node("SaveImage", images=["4", 0], filename_prefix="darkroom/P/3"),
        "7": node("SaveImage", images=["4", 0], filename_prefix="darkroom/P/4"),
    } == built
    assert "../../x" == graph["9"]["inputs"]["filename_prefix"]


def test_of_a_node_goes_only_what_comfyui_knows() -> None:
    extra = {"_meta": {"title": "x"}, "is_changed": ["stale"], "override_display_id": "1"}
    assert {"1": node() | {"_meta": {"title": "x"}}} == build_graph({"1": node() | extra}, {}, "f")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({}, "must not be empty"),
        ({"extra_data": None}, "content.extra_data: is no node"),
        ({"1": node(image="../../x")}, "content.1.inputs.image: must be a link"),
    ],
)
def test_a_graph_is_looked_at_again_before_it_goes_out(content: dict[str, Any], text: str) -> None:
    with pytest.raises(TaskFailedError, match=text) as caught:
        check_graph(content)
    assert "invalid_workflow" == caught.value.type
