"""From a task's content to the graph that ComfyUI gets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import filetype

from darkroom.errors import InvalidRequestError, TaskFailedError
from darkroom.models import JsonObject
from darkroom.workflows import check_workflow, is_encoded, names_file
from darkroom_agent.encodings import decode, encode
from darkroom_agent.inputs import check_file
from darkroom_agent.links import Place, name_place, replace
from darkroom_agent.pictures import PictureError
from darkroom_agent.runtimes import InputRules

INPUTS = InputRules(
    kinds=frozenset({"image", "video", "audio"}),
    encoded=False,
    words=frozenset({"_meta", "class_type", "text", "prompt", "negative_prompt"}),
)
"""Any input of a node may be a link. Texts to be encoded are words, and so is what only the editor reads."""

FOLDER = "darkroom"
"""The folder, among inputs and among outputs, under which each run has one of its own."""

_FILE_FIELDS = ("class_type", "inputs", "_meta")
_DECODES_ITSELF = "base64"
_SOCKET_SAVES = {"SaveImageWebsocket": "SaveImage"}


@dataclass(frozen=True)
class InputFile:
    """One file that nodes need, and the places in the graph that are to hold its name."""

    name: str
    data: bytes | bytearray
    places: tuple[Place, ...]


def check_graph(content: JsonObject) -> None:
    """Look at a graph once more: a pipeline may have put it together after the API looked.

    Raises:
        TaskFailedError: it is none that ComfyUI should get.
    """
    if not content:
        raise TaskFailedError("invalid_workflow", "content: must not be empty")
    try:
        check_workflow(content, "content")
    except InvalidRequestError as error:
        told = "; ".join(f"{fault.field}: {fault.message}" for fault in error.fields)
        raise TaskFailedError("invalid_workflow", told) from error


def find_files(content: JsonObject, linked: Mapping[Place, bytes | bytearray]) -> list[InputFile]:
    """The files that the graph needs on the server: what its links led to, and what stands in it encoded.

    Raises:
        TaskFailedError: what stands there encoded is no file that can be used.
    """
    wanted = {place: data for place, data in linked.items() if not _decodes_itself(content, place)}
    places: dict[int, list[Place]] = {}
    files: dict[int, bytes | bytearray] = {}
    for place, data in [*wanted.items(), *_find_encoded(content)]:
        places.setdefault(id(data), []).append(place)  # one link in several places was fetched once
        files[id(data)] = data
    return [
        InputFile(f"{number}.{_extension(data)}", data, tuple(places[key]))
        for number, (key, data) in enumerate(files.items(), 1)
    ]


def encode_inputs(content: JsonObject, linked: Mapping[Place, bytes | bytearray]) -> dict[Place, str]:
    """What links led to whose nodes take base64 in their places, as that."""
    return {place: encode(data).decode() for place, data in linked.items() if _decodes_itself(content, place)}


def build_graph(content: JsonObject, names: Mapping[Place, str], folder: str) -> JsonObject:
    """The graph with the files' names (or the files as base64) in their places, that saves under `folder`.

    Saved names are the run's own: a node whose result is cached names the file of an earlier run, which may be
    another task's by now. Of a node goes what ComfyUI knows; a save to the socket becomes one to a file.
    """
    named: JsonObject = replace(content, names)
    graph = {}
    for number, (node_id, node) in enumerate(named.items(), 1):
        clean = {field: node[field] for field in _FILE_FIELDS if field in node}
        inputs = clean["inputs"]
        if clean["class_type"] in _SOCKET_SAVES:
            clean["class_type"] = _SOCKET_SAVES[clean["class_type"]]
            inputs = {**inputs, "filename_prefix": ""}
        if "filename_prefix" in inputs:
            inputs = {**inputs, "filename_prefix": f"{folder}/{number}"}
        graph[node_id] = clean | {"inputs": inputs}
    return graph


def _decodes_itself(content: JsonObject, place: Place) -> bool:
    """Whether the node there takes files as base64."""
    return _DECODES_ITSELF in content[str(place[0])]["class_type"].lower()


def _find_encoded(content: JsonObject) -> Iterator[tuple[Place, bytes]]:
    for node_id, node in content.items():
        class_type = node["class_type"]
        if _decodes_itself(content, (node_id,)):
            continue
        for field, value in node["inputs"].items():
            if isinstance(value, str) and names_file(class_type, field) and is_encoded(value):
                place = (node_id, "inputs", field)
                yield place, _decode(place, value)


def _decode(place: Place, text: str) -> bytes:
    try:
        data = decode(text)
        check_file(data, INPUTS.kinds)
    except ValueError as error:
        reason = error if isinstance(error, PictureError) else "is no base64"
        raise TaskFailedError("input_invalid", f"{name_place(place)}: {reason}") from error
    return data


def _extension(data: bytes | bytearray) -> str:
    found: Any = filetype.guess(bytes(data[:8192]))
    return str(found.extension) if found is not None else "bin"
