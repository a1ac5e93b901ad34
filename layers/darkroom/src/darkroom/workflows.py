"""ComfyUI workflows: graphs in the API format, as a pipeline's content.

A graph maps node ids to nodes: `{"3": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], "width": 512}}}`.
An input is a value, or a link `["1", 0]` to an output of another node. What the nodes themselves take, only the
runtime knows: it checks that when it gets the graph.
"""

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import TypeGuard

from darkroom.errors import FieldError, InvalidRequestError
from darkroom.models import JsonObject

MAX_FAULTS = 20
"""So many faults of one graph are told at once."""

MAX_DEPTH = 300
"""So many nodes may follow one another. ComfyUI goes along the links by recursion, which Python ends after 1,000
calls, and its worker does not outlive that."""

_NAMED = 5
_LINK_LENGTH = 2
_LONGEST_NAME = 255
_FILE_FIELD = re.compile(
    r"(^|_)(image|mask|video|audio|latent|file|filename|path|dir|directory|folder)s?$", re.IGNORECASE
)
_WORDS = re.compile(r"(^|_)(text|prompt|positive|negative|string|wildcard|caption)s?(_|$)", re.IGNORECASE)
# what comfyui's folder_paths would follow out of the input folder: parents, roots, drives, "x.png [output]"
_OUTSIDE = re.compile(r"(^|[\\/])\.\.([\\/]|\s*(\[\w+\]\s*)?$)|^\s*[\\/~]|^\s*[A-Za-z]:[\\/]|\[(output|temp)\]\s*$")
_ITSELF = re.compile(r"\s*((https?|s3)://|data:)", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/=\r\n]*")


def check_workflow(graph: JsonObject, at: str) -> None:
    """Check a graph.

    Args:
        graph: what the caller sent.
        at: where it stands in the body (`task.content`), for the messages.

    Raises:
        InvalidRequestError: it is no graph in the API format, or names files that are none of its own.
    """
    fault = _find_other_format(graph)
    faults = [FieldError(at, fault)] if fault else list(islice(_find_faults(graph, at), MAX_FAULTS))
    if not faults:
        fault = _find_endless(graph)
        faults = [FieldError(at, fault)] if fault else []
    if faults:
        raise InvalidRequestError(fields=faults)


def names_file(class_type: str, field: str) -> bool:
    """True where a text in this input of such a node is, as far as its names tell, the name of a file.

    Nodes that load take names in fields of any name; some of them take prompts besides.
    """
    loads = "load" in class_type.lower() and _WORDS.search(field) is None
    return loads or _FILE_FIELD.search(field) is not None


def is_encoded(text: str) -> bool:
    """True for a file itself instead of its name: a data URI, or base64."""
    if text.lstrip()[:5].lower() == "data:":
        return True
    return len(text) > _LONGEST_NAME and _BASE64.fullmatch(text) is not None


def sort_key(node_id: str) -> list[tuple[bool, int, str]]:
    """Orders node ids as people count: `9` before `10`, `57:8` (a node of a subgraph) after `57`."""
    parts = re.findall(r"[0-9]+|[^0-9]+", node_id)
    return [(False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts]


def _find_other_format(graph: JsonObject) -> str | None:
    if isinstance(graph.get("nodes"), list):
        return (
            "is a workflow as ComfyUI's editor saves it, which its API does not take: "
            "export it with Save (API Format)"
        )
    if isinstance(graph.get("prompt"), dict) and "class_type" not in graph["prompt"]:
        return "holds the graph in `prompt`, as ComfyUI's own API takes it: send the graph itself"
    return None


def _find_faults(graph: JsonObject, at: str) -> Iterator[FieldError]:
    for node_id, node in graph.items():
        place = f"{at}.{node_id}" if at else node_id
        if not isinstance(node, dict):
            yield FieldError(place, "is no node: a node is an object with class_type and inputs")
            continue
        class_type, inputs = node.get("class_type"), node.get("inputs")
        if not isinstance(class_type, str) or not class_type.strip():
            yield FieldError(f"{place}.class_type", "must be the name of the node's class")
        elif not isinstance(inputs, dict):
            yield FieldError(f"{place}.inputs", "must be an object, if an empty one")
        else:
            for field, value in inputs.items():
                message = _find_fault(graph, class_type, field, value)
                if message is not None:
                    yield FieldError(f"{place}.inputs.{field}", message)


def _find_endless(graph: JsonObject) -> str | None:
    """What is wrong with a graph that goes round in a circle, or deeper than ComfyUI can go; used or not."""
    sources = {node_id: set(_sources(node)) for node_id, node in graph.items()}
    depths: dict[str, int] = {}
    try:
        for node_id in TopologicalSorter(sources).static_order():
            depths[node_id] = 1 + max((depths[source] for source in sources[node_id]), default=0)
    except CycleError as error:
        circle = error.args[1]
        names = ", ".join(circle[:_NAMED]) + (", …" if len(circle) > _NAMED else "")
        return f"has links in a circle: nodes {names[:_LONGEST_NAME]}"
    deepest = max(depths.values(), default=0)
    return (
        f"has {deepest} nodes one after the other; at most {MAX_DEPTH} are taken" if deepest > MAX_DEPTH else None
    )


def _sources(node: JsonObject) -> Iterator[str]:
    """The nodes that a node has links to."""
    return (value[0] for value in node["inputs"].values() if _is_link(value))


def _is_link(value: object) -> TypeGuard[tuple[str, int]]:
    return (
        isinstance(value, list)
        and len(value) == _LINK_LENGTH
        and isinstance(value[0], str)
        and type(value[1]) is int
    )


def _find_fault(graph: JsonObject, class_type: str, field: str, value: object) -> str | None:
    if _is_link(value):
        source, slot = value
        if source not in graph:
            return f"is a link to the node {source[:_LONGEST_NAME]!r}, which the graph does not have"
        return None if slot >= 0 else "is a link to an output below 0"
    if names_file(class_type, field) and any(_leads_outside(text) for text in _texts(value)):
        return (
            "must be a link, an image, or the name of a file in the input folder: no '..', no root, no other folder"
        )
    return None


def _leads_outside(text: str) -> bool:
    several_lines = "\n" in text.strip()
    return bool(_OUTSIDE.search(text)) and not (several_lines or _ITSELF.match(text) or is_encoded(text))


def _texts(value: object) -> Iterator[str]:
    """Every text in a value: ComfyUI also takes them wrapped (`{"__value__": …}`). No recursion: it may be deep."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            waiting += item.values()
