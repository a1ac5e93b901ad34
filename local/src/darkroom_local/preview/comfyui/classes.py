"""What a class of nodes is: its inputs, its outputs, and what it does."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

Choices: TypeAlias = Sequence[str]


@dataclass(frozen=True)
class Input:
    """One input: a type by name (`IMAGE`, `INT` …) or choices, and what `object_info` tells besides.

    `choices` is called anew each time: files and models come and go.
    """

    type: str = "COMBO"
    options: Mapping[str, Any] = field(default_factory=dict)
    choices: Callable[[], Choices] | None = None

    def type_told(self) -> str | list[str]:
        """The type as it is told: choices stand in its place."""
        return list(self.choices()) if self.choices else self.type

    def describe(self) -> list[Any]:
        """As in `object_info`."""
        return [self.type_told(), dict(self.options)] if self.options else [self.type_told()]


class Job(Protocol):
    """What a node may ask of the run that it is part of."""

    @property
    def graph(self) -> Mapping[str, Any]:
        """The whole graph, as it was sent."""

    def tick(self, value: int, maximum: int) -> None:
        """Tell how far the node is. Raises where the run was interrupted."""


@dataclass(frozen=True)
class Result:
    """What a node made: the values of its outputs, and what it shows."""

    values: tuple[Any, ...] = ()
    shown: Mapping[str, Any] | None = None


Run: TypeAlias = Callable[[Job, dict[str, Any]], Awaitable[Result]]


@dataclass(frozen=True)
class NodeClass:
    """A class of nodes.

    Attributes:
        name: what graphs call it.
        title: what people call it.
        category: where the editor lists it.
        inputs: what it takes; everything is required.
        outputs: the types of what it gives.
        run: does the work.
        output_node: whether a graph is run for its sake.
        check: names an input and says what is wrong with it, where more than its type must be right.
        mark: changes where what the node would read has changed although its inputs have not.
    """

    name: str
    title: str
    category: str
    inputs: Mapping[str, Input]
    outputs: tuple[str, ...]
    run: Run
    output_node: bool = False
    check: Callable[[Mapping[str, Any]], tuple[str, str] | None] | None = None
    mark: Callable[[Mapping[str, Any]], str] | None = None

    def describe(self) -> dict[str, Any]:
        """As in `object_info`."""
        return {
            "input": {"required": {name: given.describe() for name, given in self.inputs.items()}},
            "input_order": {"required": list(self.inputs)},
            "output": list(self.outputs),
            "output_is_list": [False] * len(self.outputs),
            "output_name": list(self.outputs),
            "name": self.name,
            "display_name": self.title,
            "description": "",
            "python_module": "nodes",
            "category": self.category,
            "output_node": self.output_node,
        }


def number(kind: str, default: float, low: float, high: float, **more: Any) -> Input:  # noqa: ANN401  JSON
    """An `INT` or `FLOAT` within limits."""
    return Input(kind, {"default": default, "min": low, "max": high, **more})


def one_of(*choices: str) -> Input:
    """One of fixed choices."""
    return Input(choices=lambda: choices)
