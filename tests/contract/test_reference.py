"""The API's reference: made from what the API is, and true."""

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from tests.templates import template

ROOT = Path(__file__).parents[2]
DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text())
REGISTRY: Registry[Any] = Registry().with_resource("urn:api", DRAFT202012.create_resource(DOCUMENT))


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "reference" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_files_are_what_the_generator_makes(generate: ModuleType) -> None:
    for path, content in generate.make_files().items():
        assert path.read_text() == content, f"{path.name} is stale: run `make reference`"


def test_the_document_is_valid_openapi() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    validate(DOCUMENT)


def test_the_page_needs_nothing_from_elsewhere_and_names_every_operation() -> None:
    page = (ROOT / "functions" / "api" / "chalicelib" / "reference_files" / "docs.html").read_text()

    assert not re.findall(r"<(?:script|link|img|iframe)\b|@import|url\(", page)
    assert [name for name, it in operations() if f'id="{it["operationId"]}"' not in page] == []


def test_every_example_is_an_example_of_its_schema() -> None:
    checked = 0
    for name, it in operations():
        answers = [resolved(answer) for answer in it["responses"].values()]
        for body in [it.get("requestBody"), *answers]:
            for content in (body or {}).get("content", {}).values():
                if "schema" not in content:
                    continue
                examples = [resolved(example)["value"] for example in content.get("examples", {}).values()]
                examples += [content["example"]] if "example" in content else []
                validator = jsonschema.Draft202012Validator(absolute(content["schema"]), registry=REGISTRY)
                for example in examples:
                    faults = [fault.message for fault in validator.iter_errors(example)]
                    assert faults == [], name
                    checked += 1
                assert examples, f"{name} has a body without an example"
    assert checked > 50


def absolute(schema: Any) -> Any:
    return json.loads(json.dumps(schema).replace('"$ref": "#/', '"$ref": "urn:api#/'))


def resolved(it: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in it:
        return it
    found: Any = DOCUMENT
    for part in it["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return resolved(found)


def test_the_template_has_the_routes_that_the_function_has(generate: ModuleType) -> None:
    with generate.settings("http://localhost"), generate.imported_app() as module:
        routes = {(method, path) for path, methods in module.app.routes.items() for method in methods}
    events = [
        it["Properties"] for it in template("template")["Resources"]["ApiFunction"]["Properties"]["Events"].values()
    ]
    declared = {(it["Method"].upper(), it["Path"]) for it in events}

    assert {it for it in declared if it[0] != "ANY"} == routes
    assert {path for method, path in declared if method == "ANY"} == {path for _, path in routes}
