"""Reading what ComfyUI says of a prompt: refusals, faults, outputs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.models import JsonObject
from darkroom.workflows import sort_key
from darkroom_agent.runtimes.answers import LONGEST_MESSAGE, machine_fault, tidy, without_files
from darkroom_agent.runtimes.comfyui_server import Receipt, StoredFile

LONGEST_LIST = 1000
"""Characters of a message about several nodes."""

_TO_EXECUTE = 4  # number, prompt id, graph, extra data, nodes to execute
_SHOWS = re.compile(r"save|preview|combine", re.IGNORECASE)  # others may end a branch with nothing to show
_FILE_FIELDS = ("filename", "subfolder", "type", "format")


class ForgottenOutputsError(TaskInterruptedError):
    """What cached nodes made is not told: ComfyUI leaves out what was put out within a node that expanded."""


@dataclass(frozen=True)
class Ending:
    """A prompt that ended well.

    Attributes:
        files: its files, in the order of the nodes: those that were saved or, where none was, the previews.
        answer: all that is told about the run, as JSON; files are named by their numbers, from 1.
        warnings: which nodes made nothing although they should have, in words.
        expanded: whether nodes put something out that stand in no graph, but were made by others while they ran.
    """

    files: tuple[StoredFile, ...]
    answer: JsonObject
    warnings: tuple[str, ...] = ()
    expanded: bool = False


def refusal(receipt: Receipt, graph: JsonObject) -> TaskFailedError:
    """The failure of a graph that was refused."""
    faults = _describe_nodes(receipt.node_errors, graph)
    if not faults:
        texts = [str(receipt.error.get(field) or "") for field in ("message", "details")]
        faults = ": ".join(text for text in texts if text) or "the runtime refused the workflow"
    return TaskFailedError("invalid_workflow", tidy(faults, LONGEST_LIST))


def partial(receipt: Receipt, graph: JsonObject) -> TaskFailedError:
    """The failure of a graph of which the runtime would leave out a part, and say no more about it."""
    faults = _describe_nodes(receipt.node_errors, graph)
    return TaskFailedError("partial_workflow", tidy(f"a part of the workflow cannot run: {faults}", LONGEST_LIST))


def read_ending(entry: JsonObject, graph: JsonObject, blocked: Mapping[str, str]) -> Ending:
    """Read the history of a prompt that has ended.

    Args:
        entry: its entry in the history.
        graph: what was sent.
        blocked: what nodes said, as far as it was heard, that kept others from running.

    Raises:
        TaskFailedError: `node_failed`, or `no_outputs` where the run ended well with nothing to show.
        TaskInterruptedError: it was interrupted, or the GPU is short of memory or broken.
        ForgottenOutputsError: it ended well, and cached nodes may have had something to show.
    """
    status = _object(entry.get("status"))
    messages = [m for m in _list(status.get("messages")) if isinstance(m, list) and len(m) == 2]  # noqa: PLR2004  name, data
    failed = bool(messages) and messages[-1][0] == "execution_error"  # told of a node, the run may go on after it
    if failed or status.get("status_str", "success") != "success":
        raise _fault(messages, graph)
    outputs = _object(entry.get("outputs"))
    listed = _order(outputs)
    saved = [file for file in listed if file.type == "output"] or [f for f in listed if f.type == "temp"]
    silent = _silent(entry, outputs)
    if not saved and not any(_holds_something(output) for output in outputs.values()):
        nothing = _nothing(silent, blocked, graph)
        if set(silent) & set(_cached(messages)):
            raise ForgottenOutputsError("output_missing", str(nothing))
        raise nothing
    numbers = {file: number for number, file in enumerate(saved, 1)}
    answer = {
        "outputs": {
            node: {"class_type": _class(graph, node), **_tell(outputs[node], numbers)}
            for node in sorted(outputs, key=sort_key)
        },
        "cached": _cached(messages),
        "without_output": silent,
        "blocked": {node: tidy(message) for node, message in blocked.items()},
        "seconds": _seconds(messages),
    }
    warnings = [f"{name_node(node, graph)} was left out: {tidy(text)}" for node, text in blocked.items()]
    warnings += [
        f"{name_node(node, graph)} put nothing out"
        for node in silent
        if node not in blocked and _SHOWS.search(_class(graph, node) or "")
    ]
    return Ending(tuple(saved), answer, tuple(warnings), expanded=not outputs.keys() <= graph.keys())


def name_node(node_id: object, graph: JsonObject, class_type: object = None) -> str:
    """A node as its owner knows it: `node 3 (KSampler)`."""
    name = class_type or _class(graph, str(node_id))
    return f"node {node_id} ({name})" if name else f"node {node_id}"


def _describe_nodes(node_errors: Mapping[str, Any], graph: JsonObject) -> str:
    told = []
    for node in sorted(node_errors, key=sort_key):
        fault = _object(node_errors[node])
        for error in _list(fault.get("errors")):
            texts = [str(_object(error).get(field) or "") for field in ("message", "details")]
            reason = ": ".join(text for text in texts if text)
            told.append(f"{name_node(node, graph, fault.get('class_type'))}: {reason[:LONGEST_MESSAGE]}")
    return "; ".join(told)


def _fault(messages: list[list[Any]], graph: JsonObject) -> TaskFailedError | TaskInterruptedError:
    """What a prompt's last word means."""
    name, data = (messages[-1][0], _object(messages[-1][1])) if messages else ("", {})
    if name == "execution_interrupted":
        return TaskInterruptedError("interrupted", "the job was interrupted")
    if name != "execution_error":
        return TaskInterruptedError("runtime_error", "the run ended without a reason")
    text = str(data.get("exception_message") or "").strip()
    kind = str(data.get("exception_type") or "an exception").rpartition(".")[2]
    where = name_node(data.get("node_id"), graph, data.get("node_type"))
    message = tidy(f"{where}: {text or kind}")
    return machine_fault(f"{kind} {text}", message) or TaskFailedError("node_failed", message)


def _nothing(silent: list[str], blocked: Mapping[str, str], graph: JsonObject) -> TaskFailedError:
    message = "the workflow ran and made nothing"
    if silent:
        message += ": no output of " + ", ".join(name_node(node, graph) for node in silent)
    if blocked:
        message += "; blocked by " + "; ".join(f"{name_node(n, graph)}: {text}" for n, text in blocked.items())
    return TaskFailedError("no_outputs", tidy(message, LONGEST_LIST))


def _order(outputs: JsonObject) -> list[StoredFile]:
    """Every file that is named, each once, as people count the nodes."""
    found: dict[StoredFile, None] = {}
    for node in sorted(outputs, key=sort_key):
        for value in _object(outputs[node]).values():
            found.update(dict.fromkeys(file for item in _list(value) if (file := _file(item)) is not None))
    return list(found)


def _file(item: object) -> StoredFile | None:
    name = _object(item).get("filename")
    if not isinstance(name, str) or not name:
        return None
    fields = _object(item)
    return StoredFile(name, str(fields.get("subfolder") or ""), str(fields.get("type") or "output"))


def _holds_something(output: object) -> bool:
    """True where a node shows more than the inputs of the workflow."""
    values = [item for value in _object(output).values() for item in (_list(value) or [value])]
    return any(_file(item) is None and not isinstance(item, bool) and item not in (None, {}, "") for item in values)


def _tell(output: object, numbers: Mapping[StoredFile, int]) -> JsonObject:
    """A node's output as it is kept: of files their names and numbers, no paths."""
    return {key: _tell_value(value, numbers) for key, value in _object(output).items()}


def _tell_value(value: object, numbers: Mapping[StoredFile, int]) -> object:
    if isinstance(value, list):
        return [_tell_value(item, numbers) for item in value]
    file = _file(value)
    if file is None:
        return without_files(value)
    kept = {field: _object(value)[field] for field in _FILE_FIELDS if field in _object(value)}
    return kept | ({"number": numbers[file]} if file in numbers else {})


def _silent(entry: JsonObject, outputs: JsonObject) -> list[str]:
    """The nodes that were to put something out and did not: others blocked them, or they only pass on."""
    prompt = _list(entry.get("prompt"))
    wanted = _list(prompt[_TO_EXECUTE]) if len(prompt) > _TO_EXECUTE else []
    told = {node for name in outputs for node in (name, name.partition(".")[0])}  # `b.0.0.2` was made by `b`
    return sorted((str(node) for node in wanted if str(node) not in told), key=sort_key)


def _cached(messages: list[list[Any]]) -> list[str]:
    nodes = [n for name, data in messages if name == "execution_cached" for n in _list(_object(data).get("nodes"))]
    return sorted(map(str, nodes), key=sort_key)


def _seconds(messages: list[list[Any]]) -> float | None:
    times = [time for _, data in messages if isinstance(time := _object(data).get("timestamp"), int | float)]
    return round((max(times) - min(times)) / 1000, 3) if times else None


def _class(graph: JsonObject, node: str) -> str | None:
    name = _object(graph.get(node)).get("class_type")
    return name if isinstance(name, str) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}
