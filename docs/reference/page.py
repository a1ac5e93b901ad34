"""The document as a page to read: one file, without scripts and without anything from elsewhere."""

import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

Json = dict[str, Any]

STYLE = Path(__file__).with_name("page.css")
_METHODS = ("post", "put", "get", "delete")
_DEPTH = 3
"""How deep fields of fields are listed; what lies deeper is named by its schema."""


def make_page(document: Json) -> str:
    """The page."""
    info = document["info"]
    groups = [(tag, list(_operations(document, tag["name"]))) for tag in document["tags"]]
    reader = _Reader(document["components"])
    body = "".join(
        f'<section><h2 id="{_anchor(tag["name"])}">{escape(tag["name"])}</h2>{_text(tag["description"])}'
        + "".join(reader.operation(*operation) for operation in operations)
        + "</section>"
        for tag, operations in groups
    )
    title = f"{info['title']} API"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text()}</style></head><body>"
        f"<nav>{_contents(groups)}</nav><main><header><h1>{escape(title)}</h1>"
        f'<p class="version">Version {escape(info["version"])} · <a href="openapi.json">openapi.json</a> '
        f"(OpenAPI {document['openapi']})</p>{_text(info['description'])}</header>{body}</main></body></html>\n"
    )


def _operations(document: Json, tag: str) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods and tag in methods[method]["tags"]:
                yield method, path, methods[method]


def _contents(groups: Iterable[tuple[Json, list[tuple[str, str, Json]]]]) -> str:
    made = ""
    for tag, operations in groups:
        links = "".join(
            f'<li><a href="#{it["operationId"]}"><b class="{method}">{method}</b> {escape(it["summary"])}</a></li>'
            for method, _, it in operations
        )
        made += f'<p><a href="#{_anchor(tag["name"])}">{escape(tag["name"])}</a></p><ul>{links}</ul>'
    return made


class _Reader:
    """Reads operations and schemas aloud."""

    def __init__(self, components: Json) -> None:
        self._components = components
        self._asking = False  # whether what is read is to be sent; in answers every field is there

    def operation(self, method: str, path: str, it: Json) -> str:
        """One operation as an article."""
        key = "" if it.get("security") != [] else '<span class="note">no key needed</span>'
        made = f'<article id="{it["operationId"]}"><h3>{escape(it["summary"])}</h3>'
        made += f'<p class="call"><b class="{method}">{method}</b> <code>{escape(path)}</code>{key}</p>'
        made += _text(it.get("description", ""))
        if "parameters" in it:
            made += "<h4>Parameters</h4>" + self._parameters(it["parameters"])
        if "requestBody" in it:
            (content,) = it["requestBody"]["content"].values()
            self._asking = True
            made += "<h4>Body</h4>" + self._schema(content["schema"]) + _examples(content["examples"])
        self._asking = False
        answers = "".join(self._answer(status, answer) for status, answer in it["responses"].items())
        return f"{made}<h4>Answers</h4>{answers}</article>"

    def _parameters(self, parameters: list[Json]) -> str:
        rows = (
            _row(it["name"], f"{self._type(it['schema'])} · {it['in']}", it["description"], required=it["required"])
            for it in parameters
        )
        return f"<table>{''.join(rows)}</table>"

    def _answer(self, status: str, it: Json) -> str:
        it = self._resolve(it)
        content: Json = next(iter(it.get("content", {}).values()), {})
        told = ""
        if "schema" in content and not content["schema"].get("$ref", "").endswith("/Problem"):
            told = self._schema(content["schema"])
        examples = {name: self._resolve(example) for name, example in content.get("examples", {}).items()}
        if "example" in content:
            examples = {"Example": {"value": content["example"]}}
        names = ", ".join(f"<code>{escape(name)}</code>" for name in content.get("examples", {}))
        kind = "good" if status < "300" else "bad"
        head = f'<summary><b class="{kind}">{status}</b> {escape(it["description"])} {names}</summary>'
        inner = told + _examples(examples)
        return f"<details>{head}{inner}</details>" if inner else f'<p class="empty">{head[9:-10]}</p>'

    def _schema(self, schema: Json) -> str:
        schema = self._resolve(schema)
        if "oneOf" not in schema:
            return _text(schema.get("description", "")) + self._fields(schema, _DEPTH)
        variants = [self._resolve(it) for it in schema["oneOf"]]
        if "discriminator" not in schema:
            made = _text(schema.get("description", ""))
            for it, named in zip(variants, schema["oneOf"], strict=True):
                name = named["$ref"].rpartition("/")[2]
                inner = _text(it.get("description", "")) + self._fields(it, _DEPTH)
                made += f"<details><summary><code>{escape(name)}</code></summary>{inner}</details>"
            return made
        common = variants[0] | {
            "properties": variants[0]["properties"] | {"type": self._components["schemas"]["TaskType"]}
        }
        common["properties"]["content"] = {"type": "object", "description": "See below."}
        made = self._fields(common, _DEPTH)
        for it in variants:
            name, content = it["properties"]["type"]["const"], self._resolve(it["properties"]["content"])
            inner = _text(content.get("description", "")) + self._fields(content, _DEPTH)
            made += f"<details><summary>content of <code>{escape(name)}</code></summary>{inner}</details>"
        return made

    def _fields(self, schema: Json, depth: int) -> str:
        rows = ""
        for name, it in schema.get("properties", {}).items():
            text = it.get("description") or self._resolve(it).get("description", "")
            inner = self._inner(it)
            below = self._fields(inner, depth - 1) if inner and depth else ""
            needed = self._asking and name in schema.get("required", [])
            rows += _row(name, self._type(it), text, required=needed, below=below)
        return f"<table>{rows}</table>" if rows else ""

    def _inner(self, schema: Json) -> Json | None:
        """The object whose fields a field has, if it has any."""
        schema = self._plain(schema)
        if schema.get("type") == "array":
            schema = self._plain(schema.get("items", {}))
        return schema if "properties" in schema else None

    def _plain(self, schema: Json) -> Json:
        schema = self._resolve(schema)
        choices = [it for it in schema.get("anyOf", []) if it.get("type") != "null"]
        return self._resolve(choices[0]) if len(choices) == 1 else schema

    def _resolve(self, schema: Json) -> Json:
        if "$ref" not in schema:
            return schema
        kind, _, name = schema["$ref"].removeprefix("#/components/").partition("/")
        return self._resolve(self._components[kind][name])

    def _type(self, schema: Json) -> str:
        if "anyOf" in schema:
            return " or ".join(dict.fromkeys(self._type(it) for it in schema["anyOf"]))
        full = self._resolve(schema)
        if "enum" in full:
            return " | ".join(f'"{it}"' for it in full["enum"])
        if "oneOf" in full or "anyOf" in full:
            return "object"
        if full.get("type") == "array":
            return f"list of {self._type(full.get('items', {}))}"
        return str(full.get("format") or full.get("type", "anything")) + _limits(full)


def _limits(schema: Json) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        return ""
    span = f"{low} to {high}" if None not in {low, high} else f"from {low}" if high is None else f"up to {high}"
    step = f", a multiple of {schema['multipleOf']}" if "multipleOf" in schema else ""
    return f", {span}{step}"


def _row(name: str, kind: str, text: str, *, required: bool, below: str = "") -> str:
    mark = '<span class="required">required</span>' if required else ""
    head = f"<th><code>{escape(name)}</code> {mark}</th>"
    return f'<tr>{head}<td><span class="type">{escape(kind)}</span>{_text(text)}{below}</td></tr>'


def _examples(examples: Json) -> str:
    made = ""
    for name, it in examples.items():
        text = escape(json.dumps(it["value"], indent=2, ensure_ascii=False), quote=False)
        made += f"<figure><figcaption>{escape(name)}</figcaption><pre>{text}</pre></figure>"
    return made


def _text(text: str) -> str:
    """Paragraphs, with what stands between backticks as code."""
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    return "".join(f"<p>{part}</p>" for part in marked.split("\n\n") if part)


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")
