"""What a ComfyUI server says of a graph before it runs: which nodes are wrong, and which outputs are left."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from darkroom_local.preview.comfyui.classes import Input, NodeClass

_LINK_LENGTH = 2
_LONGEST_LIST = 20
_CONVERT: Mapping[str, Callable[[Any], Any]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}

Error = dict[str, Any]


@dataclass
class Verdict:
    """What becomes of a graph.

    Attributes:
        outputs: the output nodes that can run; those with a fault before them are left out in silence.
        node_errors: what is wrong, by node.
        error: why nothing can run; None where something can.
    """

    outputs: list[str] = field(default_factory=list)
    node_errors: dict[str, Any] = field(default_factory=dict)
    error: Error | None = None


def validate(graph: Mapping[str, Any], classes: Mapping[str, NodeClass]) -> Verdict:
    """Look at a graph. Values are converted in it, as their inputs' types ask for."""
    error = _find_invalid(graph, classes)
    if error is not None:
        return Verdict(error=error)
    wanted = [node_id for node_id, node in graph.items() if classes[node["class_type"]].output_node]
    if not wanted:
        return Verdict(error=fault("prompt_no_outputs", "Prompt has no outputs"))
    verdict = Verdict()
    details = []
    check = _Check(graph, classes)
    for output in wanted:
        reasons = check.look(output)
        if reasons is None:
            verdict.outputs.append(output)
            continue
        details += [f"{reason['message']}: {reason['details']}" for reason in reasons]
        for node_id, errors in check.faults.items():
            if errors:  # what only follows from a fault elsewhere has none of its own
                entry = {"errors": errors, "dependent_outputs": [], "class_type": graph[node_id]["class_type"]}
                verdict.node_errors.setdefault(node_id, entry)["dependent_outputs"].append(output)
    if not verdict.outputs:
        kind, message = "prompt_outputs_failed_validation", "Prompt outputs failed validation"
        verdict.error = fault(kind, message, "\n".join(details))
    return verdict


def fault(kind: str, message: str, details: str = "", **extra_info: Any) -> Error:  # noqa: ANN401  JSON
    """An error as the server words it."""
    return {"type": kind, "message": message, "details": details, "extra_info": extra_info}


def _find_invalid(graph: Mapping[str, Any], classes: Mapping[str, NodeClass]) -> Error | None:
    for node_id, node in graph.items():
        if "class_type" not in node:
            message = "Cannot execute because a node is missing the class_type property."
            return fault("invalid_prompt", message, f"Node ID '#{node_id}'")
        if node["class_type"] not in classes:
            message = f"Cannot execute because node {node['class_type']} does not exist."
            return fault("invalid_prompt", message, f"Node ID '#{node_id}'")
    return None


class _Check:
    """One look at a graph. `faults` holds the errors of each node that cannot run; nodes are looked at once."""

    def __init__(self, graph: Mapping[str, Any], classes: Mapping[str, NodeClass]) -> None:
        self.faults: dict[str, list[Error]] = {}
        self._graph = graph
        self._classes = classes
        self._good: set[str] = set()

    def look(self, node_id: str) -> list[Error] | None:
        """The errors of a node, empty where only others before it have some; None where it can run."""
        if node_id in self.faults:
            return self.faults[node_id]
        if node_id not in self._good:
            try:
                errors, whole = self._look(node_id)
            except Exception as error:  # noqa: BLE001  whatever it is, the server tells it
                self.faults[node_id] = [
                    _raised("exception_during_validation", "Exception when validating node", error)
                ]
                return self.faults[node_id]
            if errors or not whole:
                self.faults[node_id] = errors
                return errors
            self._good.add(node_id)
        return None

    def _look(self, node_id: str) -> tuple[list[Error], bool]:
        node = self._graph[node_id]
        class_, inputs = self._classes[node["class_type"]], node["inputs"]
        errors: list[Error] = []
        whole = True
        for name, given in class_.inputs.items():
            if name not in inputs:
                errors.append(fault("required_input_missing", "Required input is missing", name, input_name=name))
            elif isinstance(inputs[name], list):
                error, good = self._look_at_link(name, given, inputs[name])
                errors += [error] if error else []
                whole = whole and good
            elif error := _look_at_value(name, given, inputs, listed=class_.check is None):
                errors.append(error)
        found = class_.check(inputs) if class_.check else None
        if found:
            details = " - ".join(found)
            message = "Custom validation failed for node"
            errors.append(fault("custom_validation_failed", message, details, input_name=found[0]))
        return errors, whole

    def _look_at_link(self, name: str, given: Input, link: list[Any]) -> tuple[Error | None, bool]:
        config = [given.type_told(), dict(given.options)]
        if len(link) != _LINK_LENGTH:
            message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            bad = {"input_name": name, "input_config": config, "received_value": link}
            return fault("bad_linked_input", message, name, **bad), True
        source, slot = link
        received = self._classes[self._graph[source]["class_type"]].outputs[slot]
        if received != given.type_told():
            details = f"{name}, received_type({received}) mismatch input_type({given.type_told()})"
            bad = {"input_name": name, "input_config": config, "received_type": received, "linked_node": link}
            return fault("return_type_mismatch", "Return type mismatch between linked nodes", details, **bad), True
        return None, self.look(source) is None


def _look_at_value(name: str, given: Input, inputs: dict[str, Any], *, listed: bool) -> Error | None:
    value, kind = inputs[name], given.type_told()
    told = {"input_name": name, "input_config": [kind, dict(given.options)], "received_value": value}
    try:
        if isinstance(kind, str) and kind in _CONVERT:
            value = inputs[name] = _CONVERT[kind](value)
    except (TypeError, ValueError) as error:
        message = f"Failed to convert an input value to a {kind} value"
        details = f"{name}, {value}, {error}"
        return fault("invalid_input_type", message, details, **told, exception_message=str(error))
    told["received_value"] = value
    if "min" in given.options and value < given.options["min"]:
        message = f"Value {value} smaller than min of {given.options['min']}"
        return fault("value_smaller_than_min", message, name, **told)
    if "max" in given.options and value > given.options["max"]:
        message = f"Value {value} bigger than max of {given.options['max']}"
        return fault("value_bigger_than_max", message, name, **told)
    if isinstance(kind, list) and listed and value not in kind:
        short = len(kind) <= _LONGEST_LIST
        told["input_config"] = told["input_config"] if short else None
        details = f"{name}: '{value}' not in {kind if short else f'(list of length {len(kind)})'}"
        return fault("value_not_in_list", "Value not in list", details, **told)
    return None


def _raised(kind: str, message: str, error: Exception) -> Error:
    lines = traceback.format_tb(error.__traceback__)
    return fault(kind, message, str(error), exception_type=type(error).__name__, traceback=lines)
