"""Pipelines' documents as files, and what is asked of the API with them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from darkroom.conditions import Condition, ConditionError
from darkroom.documents import Document, read_document
from darkroom.errors import InvalidRequestError
from darkroom.graphs import cycles, needs_of
from darkroom.models import JsonObject
from darkroom_cli.errors import UsageError


def load(file: Path) -> JsonObject:
    """A document from a file; JSON is YAML, too."""
    try:
        found = json.loads(file.read_text()) if file.suffix == ".json" else yaml.safe_load(file.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{file}: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{file} holds no object")
    return found


def read(file: Path) -> Document:
    """A document whose form is right, and which can be drawn: without cycles."""
    try:
        document = read_document(load(file))
        for step in document.steps:
            Condition.parse(step.when or "1")
    except (InvalidRequestError, ConditionError) as error:
        fields = getattr(error, "fields", ())
        raise UsageError("; ".join(f"{it.field}: {it.message}" for it in fields) or str(error)) from error
    if found := cycles(document):
        raise UsageError(f"steps wait for each other: {' → '.join(found[0])}")
    unknown = {name for step in document.steps for name in needs_of(step)} - {step.id for step in document.steps}
    if unknown:
        raise UsageError(f"there is no step {', '.join(sorted(unknown))}")
    return document


def body_of(file: Path | None, name: str | None, inputs: Sequence[str]) -> JsonObject:
    """What to submit: the document in a file, or a saved one (`poster`, `poster@2`); `inputs` are `name=value`."""
    if (file is None) == (name is None):
        raise UsageError("name either a file or a saved pipeline (--name)")
    given = dict(map(_split, inputs))
    if name is not None:
        saved, sign, version = name.partition("@")
        if sign and not version.isdecimal():
            raise UsageError(f"{version!r} is no version", hint="Write NAME@2, or NAME for the latest.")
        values = {key: _as_json(text) for key, text in given.items()}
        return {"definition": saved, "inputs": values} | ({"version": int(version)} if sign else {})
    document = load(file) if file is not None else {}
    return document | ({"inputs": _with_inputs(document.get("inputs"), given)} if given else {})


def _with_inputs(declared: object, given: Mapping[str, str]) -> JsonObject:
    """A document's inputs with the values given as defaults; a text stays one where the document wants a text."""
    inputs = dict(declared) if isinstance(declared, dict) else {}
    for key, text in given.items():
        if key not in inputs:
            raise UsageError(f"the pipeline has no input {key!r}", hint=f"It has: {', '.join(inputs) or 'none'}.")
        known = inputs[key]
        typed = isinstance(known, dict) and "type" in known
        wants_text = known["type"] in {"string", "image"} if typed else isinstance(known, str)
        value = text if wants_text else _as_json(text)
        inputs[key] = {**known, "default": value} if typed else value
    return inputs


def _split(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"{text!r} is no NAME=VALUE")
    return name, value


def _as_json(text: str) -> Any:  # noqa: ANN401  JSON
    """A value that is JSON is what it says, any other is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
