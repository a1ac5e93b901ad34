"""What references find in one run of a pipeline: its inputs, the results of its steps, the item at hand."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from darkroom.models import JsonObject
from darkroom.pipelines import ItemResult, StepResult, StepStatus
from darkroom.references import Json, Reference, ReferenceFailedError, ResultMissingError, follow

ReadOutput = Callable[[str], bytes]
"""Reads a task's output file by its link. Raises `FileNotFoundError`."""

_NO_ITEM: Any = object()


@dataclass(frozen=True)
class Scope:
    """Everything that a reference may find.

    `lenient` is for conditions: a step without a result has no images and an info of null, and may be asked for.
    """

    inputs: JsonObject
    results: Callable[[str], StepResult]
    read_output: ReadOutput
    item: Json = field(default=_NO_ITEM)
    index: int | None = None
    lenient: bool = False

    def look(self, reference: Reference) -> Json:
        """What a reference stands for.

        Raises:
            ResultMissingError: it asks a step that has no result.
            ReferenceFailedError: it finds nothing.
        """
        match reference.root:
            case "inputs":
                return follow(self.inputs, reference, reference.path)
            case "item" if self.item is not _NO_ITEM:
                return follow(self.item, reference, reference.path)
            case "index" if self.index is not None and not reference.path:
                return self.index
            case "item" | "index":
                raise ReferenceFailedError(f"{reference} means nothing here")
            case step:
                return self._ask(self.results(step), reference)

    def _ask(self, result: StepResult, reference: Reference) -> Json:
        name, *rest = reference.path or ("",)
        if name == "status":
            return result.status.value
        if name == "error":
            error = next((item.error for item in result.items if item.error is not None), None)
            return follow(None if error is None else error.model_dump(), reference, tuple(rest)) if error else None
        if not result.there:
            if self.lenient:
                return [] if name == "images" and not rest else None
            raise ResultMissingError(f"{reference}: the step {result.id!r} was {result.status} and has no result")
        values: Mapping[str, Callable[[], Json]] = {
            "images": lambda: list(result.images),
            "output_url": lambda: self._each(result, lambda item: item.output_url),
            "output": lambda: self._each(result, self._output),
            "info": lambda: self._each(result, self._info),
        }
        if name not in values:
            raise ReferenceFailedError(f"{reference} finds nothing at {name!r}")
        return follow(values[str(name)](), reference, tuple(rest))

    def _each(self, result: StepResult, read: Callable[[ItemResult], Json]) -> Json:
        """One value, or for a step with `foreach` a list of them."""
        found = [read(item) for item in result.items if item.status == StepStatus.SUCCEEDED.value]
        return found if result.each else found[0]

    def _output(self, item: ItemResult) -> Json:
        """The runtime's whole answer."""
        if item.output_url is None:
            return None
        try:
            return json.loads(self.read_output(item.output_url))
        except FileNotFoundError as error:
            raise ReferenceFailedError(f"the output {item.output_url} is gone") from error

    def _info(self, item: ItemResult) -> Json:
        """The answer's `info`, which the SD WebUI writes as JSON in a text; the whole answer where it has none."""
        output = self._output(item)
        info = output.get("info", output) if isinstance(output, dict) else output
        if not isinstance(info, str):
            return info
        try:
            return json.loads(info)
        except ValueError:
            return info
