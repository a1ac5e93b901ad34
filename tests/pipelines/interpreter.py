"""What a pipeline's document means, in as few lines as may be: the oracle of the tests.

`fate` says how a task ends: the error types of its first tries (None: that try succeeds).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from darkroom.documents import Document, Step
from darkroom.graphs import layers, needs_of

Fate = Callable[[str, int], list[str | None]]


@dataclass
class Meaning:
    """How a pipeline ends: its status, its steps', and how many tries each item took."""

    status: str = "succeeded"
    steps: dict[str, str] = field(default_factory=dict)
    images: dict[str, list[str]] = field(default_factory=dict)
    tries: dict[tuple[str, int], int] = field(default_factory=dict)


def interpret(document: Document, fate: Fate) -> Meaning:
    """Run a document whose steps refer to nothing but other steps' images, as a whole or in `foreach`."""
    meaning = Meaning()
    for layer in layers(document):
        for step in layer:
            _run(step, fate, meaning)
        failed = [s for s in layer if meaning.steps[s.id] == "failed" and s.on_failure == "fail"]
        if failed:
            meaning.status = "failed"
            break
    return meaning


def _run(step: Step, fate: Fate, meaning: Meaning) -> None:
    asked = [name for name in needs_of(step) if f"${{{name}.images" in f"{step.foreach} {step.content}"]
    if any(not meaning.images[name] and meaning.steps[name] != "succeeded" for name in asked):
        meaning.steps[step.id], meaning.images[step.id] = "skipped", []
        return
    count = 1
    if isinstance(step.foreach, list):
        count = len(step.foreach)
    elif step.foreach is not None:
        count = sum(len(meaning.images[name]) for name in asked if f"${{{name}.images}}" == step.foreach)
    images, status = [], "succeeded"
    for index in range(count):
        tries = 1
        ends = fate(step.id, index)
        while (error := ends[min(tries, len(ends)) - 1]) is not None and tries < step.retry.max_attempts:
            if "*" not in step.retry.on and error not in step.retry.on:
                break
            tries += 1
        meaning.tries[step.id, index] = tries
        if error is None:
            images.append(f"{step.id}[{index}]")
        else:
            status = "failed"
    meaning.steps[step.id], meaning.images[step.id] = status, images
