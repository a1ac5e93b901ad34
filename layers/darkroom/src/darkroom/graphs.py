"""The order of a pipeline's steps: which waits for which."""

from collections.abc import Iterator, Mapping

from darkroom.conditions import Condition, ConditionError
from darkroom.documents import RESERVED, Document, Step
from darkroom.references import Mention, mentions


def step_mentions(step: Step, at: str) -> Iterator[Mention]:
    """Every reference in a step, with its path."""
    yield from mentions(step.content, f"{at}.content")
    if step.foreach is not None:
        yield from mentions(step.foreach, f"{at}.foreach")
    if step.when is not None:
        try:
            yield from Condition.parse(step.when).mentions(f"{at}.when")
        except ConditionError:  # an inspection says so
            return


def needs_of(step: Step) -> tuple[str, ...]:
    """The steps that this one waits for: those of `needs`, then those that its references name."""
    named = [m.reference.root for m in step_mentions(step, "") if m.reference is not None]
    return tuple(dict.fromkeys([*step.needs, *(root for root in named if root not in RESERVED)]))


def final_steps(document: Document) -> tuple[Step, ...]:
    """The steps whose images are the pipeline's."""
    chosen = tuple(step for step in document.steps if step.output)
    if chosen:
        return chosen
    needed = {name for step in document.steps for name in needs_of(step)}
    return tuple(step for step in document.steps if step.id not in needed and step.output is not False)


def layers(document: Document) -> list[list[Step]]:
    """The steps in layers: each waits for steps of earlier layers only. What is on a cycle is left out."""
    left = {step.id: step for step in document.steps}
    ordered: list[list[Step]] = []
    while left:
        layer = [step for step in left.values() if not any(name in left for name in needs_of(step))]
        if not layer:
            break
        ordered.append(layer)
        for step in layer:
            del left[step.id]
    return ordered


def cycles(document: Document) -> list[list[str]]:
    """The cycles among the steps, each by its steps in the order of waiting; one for each knot."""
    needs: Mapping[str, tuple[str, ...]] = {step.id: needs_of(step) for step in document.steps}
    done: set[str] = set()
    found: list[list[str]] = []

    def walk(name: str, way: list[str]) -> None:
        if name in way:
            found.append([*way[way.index(name) :], name])
            return
        if name in done or name not in needs:
            return
        for needed in needs[name]:
            walk(needed, [*way, name])
        done.add(name)

    for name in needs:
        walk(name, [])
    return found
