"""Reads a SAM template as `sam package` and CloudFormation's SAM transform would, without either.

Folders and files that the template names locally are not uploaded: a function's code becomes an S3 location whose
key is the absolute path of its folder (`LOCAL_BUCKET`), a state machine's definition is put into the template, and
a nested application becomes a stack of its own. SAM's own translator does the rest.

Some intrinsic functions are written in the plainer form that every CloudFormation emulator resolves alike:
`Fn::Sub` as `Fn::Join` of `Ref` and `Fn::GetAtt`, the operands of `Fn::Equals` as text.
"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.utils.py27hash_fix import to_py27_compatible_template, undo_mark_unicode_str_in_template
from samtranslator.yaml_helper import yaml_parse
from yaml import YAMLError

LOCAL_BUCKET = "local"
"""The bucket of a location whose key is an absolute path on this machine."""

Json = Any
"""What a template may hold anywhere."""

# SAM warns, at every template, that its own list of experiments is empty.
logging.getLogger("samtranslator.feature_toggle.feature_toggle").setLevel(logging.ERROR)

_VARIABLE = re.compile(r"\$\{(!?)([^}]+)\}")
_CODE = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}


class TemplateError(Exception):
    """A template that cannot be deployed."""


@dataclass(frozen=True)
class Template:
    """A translated template: plain CloudFormation (`body`), a value for each parameter, and what it points to.

    `functions` maps the logical ids of functions to their folders; `nested` maps each `TemplateURL` of `body` to
    the template that has to be found there.
    """

    body: dict[str, Any]
    parameters: dict[str, str]
    functions: dict[str, Path] = field(default_factory=dict)
    nested: dict[str, "Template"] = field(default_factory=dict)


def text(value: object) -> str:
    """Returns a scalar as CloudFormation, to which every scalar is text, writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def translate(path: Path, parameters: Mapping[str, Any], region: str) -> Template:
    """Translates a SAM template, and those it nests.

    A value of `parameters` may be an intrinsic function of a parent's template; it is known only when deployed.

    Raises:
        TemplateError: The template, or a file that it names, is missing or wrong, or a parameter has no value,
            is unknown or not allowed.
    """
    document = _read(path)
    values = _parameter_values(path, document.get("Parameters", {}), parameters)
    for name in document.get("Parameters", {}).keys() - values.keys():
        document["Parameters"][name].pop("Default", None)  # else SAM would take it for the value
    functions, definitions, nested = _localise(document, path.parent.resolve(), values, region)
    body = _transform(path, document, values, region)
    for name, definition in definitions.items():
        _define_state_machine(body["Resources"][name]["Properties"], definition)
    for resource in body["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::CloudFormation::Stack" and properties.get("TemplateURL") in nested:
            properties["Parameters"] = {
                **nested[properties["TemplateURL"]].parameters,
                **properties.get("Parameters", {}),
            }
    return Template(_plain(body), values, functions, nested)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml_parse(path.read_text())
    except (OSError, YAMLError) as error:
        raise TemplateError(f"{path}: {error}") from error
    if not isinstance(document, dict) or "Resources" not in document:
        raise TemplateError(f"{path}: no resources")
    # an unquoted date, such as a policy's version, is a date to YAML and text to CloudFormation
    normal: dict[str, Any] = json.loads(json.dumps(document, default=str))
    return normal


def _parameter_values(path: Path, declared: dict[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    if unknown := sorted(given.keys() - declared.keys()):
        raise TemplateError(f"{path}: no parameter {', '.join(unknown)}")
    values = {}
    for name, declaration in declared.items():
        value = given.get(name, declaration.get("Default"))
        if value is None:
            raise TemplateError(f"{path}: parameter {name} has no value")
        if isinstance(value, dict):
            continue
        values[name] = text(value)
        allowed = [text(item) for item in declaration.get("AllowedValues", [values[name]])]
        if values[name] not in allowed:
            choice = ", ".join(allowed)
            raise TemplateError(f"{path}: parameter {name} is {values[name]!r}, not one of {choice}")
        pattern = declaration.get("AllowedPattern", ".*")
        if not re.fullmatch(pattern, values[name], re.DOTALL):
            raise TemplateError(f"{path}: parameter {name} is {values[name]!r}, which does not match {pattern}")
    return values


def _localise(
    document: dict[str, Any], folder: Path, values: Mapping[str, str], region: str
) -> tuple[dict[str, Path], dict[str, dict[str, Any]], dict[str, Template]]:
    """Replaces what the template names locally; returns folders of functions, definitions and nested templates."""
    functions: dict[str, Path] = {}
    definitions: dict[str, dict[str, Any]] = {}
    nested: dict[str, Template] = {}
    common = document.get("Globals", {}).get("Function", {})
    for name, resource in document["Resources"].items():
        properties = resource.setdefault("Properties", {})
        kind = resource.get("Type")
        if place := _CODE.get(kind):
            inherited = common.get(place) if kind == "AWS::Serverless::Function" else None
            path = _existing(name, folder, properties.get(place, inherited))
            properties[place] = {"Bucket": LOCAL_BUCKET, "Key": str(path)}
            if kind == "AWS::Serverless::Function":
                functions[name] = path
        elif kind == "AWS::Serverless::StateMachine" and isinstance(properties.get("DefinitionUri"), str):
            path = _existing(name, folder, properties["DefinitionUri"])
            definitions[name] = yaml_parse(path.read_text())
            properties["DefinitionUri"] = {"Bucket": LOCAL_BUCKET, "Key": str(path)}
        elif kind == "AWS::Serverless::Application" and isinstance(properties.get("Location"), str):
            path = _existing(name, folder, properties["Location"])
            properties["Location"] = f"https://s3.amazonaws.com/{LOCAL_BUCKET}-templates/{name}-{uuid4().hex}"
            given = {
                key: values.get(value.get("Ref", ""), value) if isinstance(value, dict) else value
                for key, value in properties.get("Parameters", {}).items()
            }
            nested[properties["Location"]] = translate(path, given, region)
    return functions, definitions, nested


def _existing(name: str, folder: Path, place: object) -> Path:
    if not isinstance(place, str):
        raise TemplateError(f"{name}: only local folders and files can be run locally, not {place!r}")
    path = (folder / place).resolve()
    if not path.exists():
        raise TemplateError(f"{name}: {path} does not exist")
    return path


def _transform(path: Path, document: dict[str, Any], values: dict[str, str], region: str) -> dict[str, Any]:
    to_py27_compatible_template(document, values)
    translator = Translator(None, Parser(), boto_session=boto3.Session(region_name=region))
    try:
        # SAM knows AWS's managed policies by heart, and asks IAM (here: nobody) for others only
        translated = translator.translate(document, dict(values), get_managed_policy_map=dict)
    except InvalidDocumentException as error:
        causes = "; ".join(cause.message for cause in error.causes)
        raise TemplateError(f"{path}: {causes or error.message}") from error
    finally:
        translator.metrics.publish()  # to nobody; else SAM warns that nobody did
    body: dict[str, Any] = json.loads(json.dumps(undo_mark_unicode_str_in_template(translated)))
    body.pop("Metadata", None)
    for declaration in body.get("Parameters", {}).values():
        if "Default" in declaration:
            declaration["Default"] = text(declaration["Default"])
    return body


def _define_state_machine(properties: dict[str, Any], definition: dict[str, Any]) -> None:
    del properties["DefinitionS3Location"]
    substitutions = properties.get("DefinitionSubstitutions", {})
    properties["DefinitionString"] = _join(json.dumps(definition), substitutions, only_given=True)


def _join(template: str, given: Mapping[str, Any], *, only_given: bool = False) -> dict[str, Any]:
    """Returns `Fn::Join` of what `${…}` in the template stands for; `${!name}` is the text `${name}`."""
    parts: list[Any] = []
    end = 0
    for match in _VARIABLE.finditer(template):
        literal, name = match[1], match[2].strip()
        if only_given and name not in given:
            continue
        parts.append(template[end : match.start()])
        end = match.end()
        if literal:
            parts.append(f"${{{name}}}")
        elif name in given:
            parts.append(_plain(given[name]))
        elif "." in name:
            parts.append({"Fn::GetAtt": name.split(".", 1)})
        else:
            parts.append({"Ref": name})
    parts.append(template[end:])
    return {"Fn::Join": ["", [part for part in parts if part != ""]]}


def _plain(value: Json) -> Json:
    match value:
        case {"Fn::Sub": str(template)}:
            plain: Json = _join(template, {})
        case {"Fn::Sub": [str(template), dict(given)]}:
            plain = _join(template, given)
        case {"Fn::GetAtt": str(name)}:
            plain = {"Fn::GetAtt": name.split(".", 1)}
        case {"Fn::GetAtt": [str(name), *rest]}:
            plain = {"Fn::GetAtt": [name, ".".join(rest)]}
        case {"Fn::Equals": [left, right]}:
            plain = {"Fn::Equals": [_as_text(left), _as_text(right)]}
        case dict():
            plain = {key: _plain(item) for key, item in value.items()}
        case list():
            plain = [_plain(item) for item in value]
        case _:
            plain = value
    return plain


def _as_text(operand: Json) -> Json:
    return {"Fn::Join": ["", [_plain(operand)]]} if isinstance(operand, dict) else text(operand)
