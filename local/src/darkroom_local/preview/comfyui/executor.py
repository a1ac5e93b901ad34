"""Running one graph: node by node, what has not changed from the cache, with an event for each step."""

import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from darkroom_local.preview.comfyui.classes import NodeClass, Result

Send = Callable[[str, Mapping[str, Any]], None]

_LINK_LENGTH = 2
_LONGEST_INPUT = 1000


class InterruptedByRequestError(Exception):
    """The run was told to stop."""


@dataclass
class Run:
    """One prompt while it runs, and what is left of it.

    Attributes:
        prompt_id: its id.
        graph: what is run.
        outputs: the output nodes to run.
        send: sends an event to the client.
        stop: set to stop before the next node or step.
        messages: what the history keeps of the events.
        shown: what nodes showed, by node.
        current: the node that works.
        failed: whether it ended before its end.
    """

    prompt_id: str
    graph: Mapping[str, Any]
    outputs: list[str]
    send: Send
    stop: bool = False
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    shown: dict[str, Any] = field(default_factory=dict)
    current: str | None = None
    failed: bool = False
    _states: dict[str, dict[str, Any]] = field(default_factory=dict)

    def tell(self, kind: str, **data: Any) -> None:  # noqa: ANN401  JSON
        """Send an event that the history keeps."""
        message = {"prompt_id": self.prompt_id, **data, "timestamp": int(time.time() * 1000)}
        self.messages.append((kind, message))
        self.send(kind, message)

    def tick(self, value: int, maximum: int) -> None:
        """Tell how far the current node is.

        Raises:
            InterruptedByRequestError: it is to stop.
        """
        self.check()
        node = self.current or ""
        self.mark(node, "running", value, maximum)
        self.send("progress", {"value": value, "max": maximum, "prompt_id": self.prompt_id, "node": node})

    def check(self) -> None:
        """Raise if the run is to stop."""
        if self.stop:
            raise InterruptedByRequestError

    def mark(self, node: str, state: str, value: float, maximum: float) -> None:
        """Note how far a node is, and send the state of all that have begun."""
        self._states[node] = {
            "value": value,
            "max": maximum,
            "state": state,
            "node_id": node,
            "prompt_id": self.prompt_id,
            "display_node_id": node,
            "parent_node_id": None,
            "real_node_id": node,
        }
        self.send("progress_state", {"prompt_id": self.prompt_id, "nodes": dict(self._states)})


class Executor:
    """Runs graphs, one at a time, and remembers what the nodes of the last one made."""

    def __init__(self, classes: Mapping[str, NodeClass]) -> None:
        self._classes = classes
        self._cache: dict[str, Result] = {}

    def forget(self) -> None:
        """Drop what is remembered."""
        self._cache.clear()

    async def execute(self, run: Run) -> None:
        """Run a graph to its end, good or bad."""
        keys = self._keys(run.graph)
        self._cache = {key: result for key, result in self._cache.items() if key in keys.values()}
        run.tell("execution_start")
        run.tell("execution_cached", nodes=[node for node, key in keys.items() if key in self._cache])
        executed: list[str] = []
        for node in self._order(run, keys):
            run.current = node
            try:
                run.check()
                await self._step(run, node, keys)
            except InterruptedByRequestError:
                run.failed = True
                class_type = run.graph[node]["class_type"]
                run.tell("execution_interrupted", node_id=node, node_type=class_type, executed=executed)
                break
            except Exception as error:  # noqa: BLE001  whatever it is, the server tells it
                run.failed = True
                self._tell_error(run, node, executed, error)
                break
            executed.append(node)
        else:
            run.tell("execution_success")
        run.current = None
        run.shown = {n: self._cache[k].shown for n, k in keys.items() if k in self._cache and self._cache[k].shown}

    async def _step(self, run: Run, node: str, keys: Mapping[str, str]) -> None:
        result = self._cache.get(keys[node])
        told = {"node": node, "display_node": node}
        if result is not None:
            run.send("executed", {**told, "output": result.shown, "prompt_id": run.prompt_id})
            run.mark(node, "finished", 1, 1)
            return
        run.mark(node, "running", 0.0, 1.0)
        run.send("executing", {**told, "prompt_id": run.prompt_id})
        result = await self._classes[run.graph[node]["class_type"]].run(run, self._inputs(run.graph, node, keys))
        self._cache[keys[node]] = result
        if result.shown is not None:
            run.send("executed", {**told, "output": result.shown, "prompt_id": run.prompt_id})
        run.mark(node, "finished", 1.0, 1.0)

    def _inputs(self, graph: Mapping[str, Any], node: str, keys: Mapping[str, str]) -> dict[str, Any]:
        class_ = self._classes[graph[node]["class_type"]]
        values = {}
        for name, value in graph[node]["inputs"].items():
            if name in class_.inputs:
                source = _source(value)
                values[name] = self._cache[keys[source]].values[value[1]] if source is not None else value
        return values

    def _order(self, run: Run, keys: Mapping[str, str]) -> Iterator[str]:
        """The nodes to run, each after those that it needs. What is cached needs none, and is passed over."""
        done: set[str] = set()

        def visit(node: str) -> Iterator[str]:
            if node in done:
                return
            done.add(node)
            if keys[node] not in self._cache:
                for value in run.graph[node]["inputs"].values():
                    source = _source(value)
                    if source is not None and keys[source] not in self._cache:
                        yield from visit(source)
            yield node

        for output in run.outputs:
            yield from visit(output)

    def _keys(self, graph: Mapping[str, Any]) -> dict[str, str]:
        """Nodes of equal keys make the same: class, inputs, and all of that for what they are linked to."""
        keys: dict[str, str] = {}

        def key(node: str) -> str:
            if node not in keys:
                keys[node] = ""  # a circle ends here; it lies in a branch that was left out
                keys[node] = self._hash(graph[node], key_input)
            return keys[node]

        def key_input(value: object) -> object:
            source = _source(value)
            return (
                [key(source), value[1]]
                if isinstance(value, list) and source is not None and source in graph
                else value
            )

        for node in graph:
            key(node)
        return keys

    def _hash(self, entry: Mapping[str, Any], key_input: Callable[[object], object]) -> str:
        given = entry.get("inputs") or {}
        mark = self._classes[entry["class_type"]].mark
        inputs = {name: key_input(value) for name, value in sorted(given.items())}
        whole = [entry["class_type"], mark(given) if mark else None, inputs]
        return sha256(json.dumps(whole).encode()).hexdigest()

    def _tell_error(self, run: Run, node: str, executed: list[str], error: Exception) -> None:
        inputs = {name: [repr(value)[:_LONGEST_INPUT]] for name, value in run.graph[node]["inputs"].items()}
        run.tell(
            "execution_error",
            node_id=node,
            node_type=run.graph[node]["class_type"],
            executed=executed,
            exception_message=f"{error}\n",
            exception_type=type(error).__name__,
            traceback=traceback.format_tb(error.__traceback__),
            current_inputs=inputs,
            current_outputs=list(run.graph),
        )


def _source(value: object) -> str | None:
    """The node that a link leads to; None for what is no link."""
    if isinstance(value, list) and len(value) == _LINK_LENGTH and isinstance(value[0], str):
        return value[0]
    return None
