"""What is wrong with a pipeline's document, each fault with its path."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from darkroom.conditions import Condition, ConditionError
from darkroom.content import CONTENTS, field_errors, take_model
from darkroom.documents import MAX_ITEMS, RESERVED, Document, InputType, Step
from darkroom.errors import FieldError, InvalidRequestError
from darkroom.graphs import cycles, step_mentions
from darkroom.models import JsonObject
from darkroom.references import Mention, is_reference, mentions, resolve
from darkroom.restrictions import foreign_links, out_of_reach, unknown_names
from darkroom.runtimes import Runtime
from darkroom.workflows import check_workflow

RESULT_FIELDS = frozenset({"images", "status", "info", "output", "output_url", "error"})
"""What a step's result has, for references."""

_LINK = "s3://bucket/image.png"
_SAMPLES: Mapping[InputType, Any] = {
    InputType.STRING: "text",
    InputType.INTEGER: 1,
    InputType.NUMBER: 1.0,
    InputType.BOOLEAN: True,
    InputType.IMAGE: _LINK,
    InputType.ARRAY: [],
    InputType.OBJECT: {},
}
_UNKNOWN = object()


def check_document(document: Document, runtimes: Mapping[str, Runtime]) -> None:
    """Check what a document says.

    Raises:
        InvalidRequestError: something is wrong; `fields` has the path of every fault.
    """
    faults = list(find_faults(document, runtimes))
    if faults:
        raise InvalidRequestError(fields=faults)


def find_faults(document: Document, runtimes: Mapping[str, Runtime]) -> Iterator[FieldError]:
    """Every fault of a document, in its order."""
    yield from _cycle_faults(document)
    seen: set[str] = set()
    knots = {name for cycle in cycles(document) for name in cycle}
    ids = {step.id for step in document.steps}
    for number, step in enumerate(document.steps):
        at = f"steps[{number}]"
        if step.id in seen:
            yield FieldError(f"{at}.id", f"another step has the id {step.id!r}")
        yield from _runtime_faults(step, at, runtimes)
        for place, name in _names(step, at):
            if name not in ids:
                yield FieldError(place, f"there is no step {name!r}")
            elif name not in seen and not {name, step.id} <= knots:
                yield FieldError(place, f"the step {name!r} comes later; a step can only use earlier ones")
        yield from _mention_faults(document, step, at)
        yield from _foreach_faults(document, step, at)
        yield from _content_faults(document, step, at)
        yield from _names_faults(step, at, runtimes)
        seen.add(step.id)


def find_out_of_reach(document: Document, runtimes: Mapping[str, Runtime], owner: str) -> Iterator[FieldError]:
    """Steps whose runtimes take others' tasks only, or write to another folder than the document's."""
    told: set[FieldError] = set()
    for number, step in enumerate(document.steps):
        runtime = runtimes.get(step.runtime)
        for fault in out_of_reach(runtime, owner, document.prefix) if runtime is not None else ():
            at = f"steps[{number}].runtime" if fault.field == "runtime" else fault.field
            place = FieldError(at, fault.message)
            if place not in told:
                yield place
            told.add(place)


def find_foreign_links(document: Document, bucket: str, owner: str) -> Iterator[FieldError]:
    """Links to others' files, as far as the document itself says them; what references find is looked at later."""
    for number, step in enumerate(document.steps):
        for field, value in (("content", step.content), ("foreach", step.foreach)):
            at = f"steps[{number}].{field}"
            put_together = {mention.at for mention in mentions(value, at)}
            yield from (it for it in foreign_links(value, at, bucket, owner) if it.field not in put_together)
    defaults = {name: declared.default for name, declared in document.inputs.items()}
    yield from foreign_links(defaults, "inputs", bucket, owner)


def _cycle_faults(document: Document) -> Iterator[FieldError]:
    numbers = {step.id: number for number, step in enumerate(document.steps)}
    for cycle in cycles(document):
        way = " → ".join(cycle)
        yield FieldError(f"steps[{numbers[cycle[0]]}].needs", f"steps wait for each other: {way}")


def _names(step: Step, at: str) -> Iterator[tuple[str, str]]:
    """Each step that this one names, where it names it."""
    for number, name in enumerate(step.needs):
        yield f"{at}.needs[{number}]", name
    told = set()
    for mention in step_mentions(step, at):
        if mention.reference is not None and mention.reference.root not in RESERVED:
            place = (mention.at, mention.reference.root)
            if place not in told:
                yield place
            told.add(place)


def _runtime_faults(step: Step, at: str, runtimes: Mapping[str, Runtime]) -> Iterator[FieldError]:
    runtime = runtimes.get(step.runtime)
    if runtime is None:
        known = ", ".join(sorted(runtimes)) or "none is deployed yet"
        yield FieldError(f"{at}.runtime", f"there is no runtime {step.runtime!r}; there is: {known}")
    elif not runtime.can_do(step.type):
        able = ", ".join(sorted(runtime.able))
        message = f"the runtime {runtime.name!r} ({runtime.type}) does {able}; not {step.type}"
        yield FieldError(f"{at}.type", message)


def _mention_faults(document: Document, step: Step, at: str) -> Iterator[FieldError]:
    if step.when is not None:
        try:
            Condition.parse(step.when)
        except ConditionError as error:
            yield FieldError(f"{at}.when", str(error))
    for mention in step_mentions(step, at):
        if fault := mention.fault or _reference_fault(document, step, mention, at):
            yield FieldError(mention.at, fault)


def _reference_fault(document: Document, step: Step, mention: Mention, at: str) -> str | None:
    reference = mention.reference
    assert reference is not None, "one that could not be read has a fault already"  # noqa: S101
    first = reference.path[0] if reference.path else None
    fault = None
    if reference.root == "inputs":
        if first is not None and first not in document.inputs:
            fault = f"the pipeline has no input {first!r}; it has: {', '.join(document.inputs) or 'none'}"
    elif reference.root in RESERVED:
        if step.foreach is None:
            fault = f"{reference} means something in a step with foreach only"
        elif not mention.at.startswith(f"{at}.content"):
            fault = f"{reference} means something in the content only"
    elif first not in RESULT_FIELDS:
        fault = f"{reference} asks a step for {first!r}; a step has {', '.join(sorted(RESULT_FIELDS))}"
    return fault


def _foreach_faults(document: Document, step: Step, at: str) -> Iterator[FieldError]:
    if isinstance(step.foreach, list):
        if len(step.foreach) > MAX_ITEMS:
            yield FieldError(f"{at}.foreach", f"has {len(step.foreach)} items, at most {MAX_ITEMS} are taken")
    elif step.foreach is not None:
        if not is_reference(step.foreach):
            yield FieldError(f"{at}.foreach", "must be a list, or a reference to one such as ${draft.images}")
            return
        sample = _sample(document, step, next(mentions(step.foreach, "")))
        if sample is not _UNKNOWN and not isinstance(sample, list):
            yield FieldError(f"{at}.foreach", f"{step.foreach} is no list")


def _sample(document: Document, step: Step, mention: Mention) -> Any:  # noqa: ANN401  a value of the type found there
    """A value of the type that a reference will have, or `_UNKNOWN`."""
    reference = mention.reference
    sample = _UNKNOWN
    match (reference.root, reference.path) if reference is not None else ("", ()):
        case "inputs", (str(name),) if name in document.inputs:
            declared = document.inputs[name]
            sample = _SAMPLES[declared.type] if declared.default is None else declared.default
        case "index", ():
            sample = 0
        case "item", ():
            sample = _LINK if _goes_over_images(step) else _UNKNOWN
        case (("inputs" | "item" | "index" | ""), _):
            pass
        case _, ("images",):
            sample = [_LINK]
        case _, ("images", int()) | ("output_url",) | ("status",):
            sample = _LINK
    return sample


def _goes_over_images(step: Step) -> bool:
    found = next(mentions(step.foreach, ""), None) if isinstance(step.foreach, str) else None
    return found is not None and found.reference is not None and found.reference.path == ("images",)


def _content_faults(document: Document, step: Step, at: str) -> Iterator[FieldError]:
    """What the runtime's form says of the content; where a reference stands, only its type can be wrong."""
    if not step.content:
        yield FieldError(f"{at}.content", "must not be empty")
    found = {m.at: m for m in mentions(step.content, f"{at}.content")}
    samples = {place: _sample(document, step, m) if m.whole else "text" for place, m in found.items()}
    content = _filled(step.content, f"{at}.content", samples)
    model = CONTENTS.get(step.type)
    if model is None:
        yield from _workflow_faults(content, at)
        return
    try:
        model.model_validate(content)
    except ValidationError as error:
        kinds = [fault["type"] for fault in error.errors()]
        for fault, kind in zip(field_errors(error, f"{at}.content"), kinds, strict=True):
            mention = found.get(fault.field)
            if mention is None:
                yield fault
            elif samples[fault.field] is not _UNKNOWN and (kind.endswith(("_type", "_parsing"))):
                yield FieldError(fault.field, f"{mention.reference} is of another type: {fault.message}")


def _workflow_faults(graph: JsonObject, at: str) -> Iterator[FieldError]:
    try:
        check_workflow(graph, f"{at}.content")
    except InvalidRequestError as error:
        yield from error.fields


def _names_faults(step: Step, at: str, runtimes: Mapping[str, Runtime]) -> Iterator[FieldError]:
    """What the content names that the runtime does not have; where a reference stands, only the run can tell."""
    runtime = runtimes.get(step.runtime)
    if runtime is None:
        return
    named = {field: value for field, value in step.content.items() if not list(mentions(value, ""))}
    yield from unknown_names(named, f"{at}.content", runtime)
    model = take_model(named)[1]
    if isinstance(model, str) and not runtime.can_load(model):
        message = f"the runtime {runtime.name!r} serves {runtime.model!r} only; it has no dynamicModel"
        yield FieldError(f"{at}.content", message)


def _filled(value: Any, at: str, samples: Mapping[str, Any]) -> Any:  # noqa: ANN401  JSON
    if at in samples:
        return None if samples[at] is _UNKNOWN else samples[at]
    if isinstance(value, list):
        return [_filled(item, f"{at}[{number}]", samples) for number, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _filled(item, f"{at}.{key}", samples) for key, item in value.items()}
    return resolve(value, str)
