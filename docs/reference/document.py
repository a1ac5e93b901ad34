"""The OpenAPI 3.1 document, made from the routes, the pydantic models, and what `operations` adds to them."""

import inspect
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import examples
import shapes
from fields import FIELDS
from operations import GROUPS, OPERATIONS, Operation
from parameters import PATHS, header, query
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from darkroom import __version__
from darkroom.content import CONTENTS
from darkroom.documents import SavedRun
from darkroom.errors import RequestError
from darkroom.listings import TaskQuery
from darkroom.task_requests import BatchForm, TaskForm
from darkroom.tasks import TaskType

Json = dict[str, Any]
Kinds = Mapping[type[RequestError], tuple[HTTPStatus, str]]
"""How errors become problems: their status, and the name in their type."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ABOUT = """
    Asynchronous image generation: post a task, get an answer in milliseconds, and be told when the images lie in
    S3.

    Send your API key in the header `x-api-key`. Everything you see is your key's own; an operator's key may name
    another owner (`?owner=`). Bodies are JSON in UTF-8, at most 4 MB. Names are snake_case, times are UTC.

    What is refused is answered with a problem (RFC 9457): match its `type`; `errors` names what is wrong where.
"""
_GATEWAY = {
    HTTPStatus.UNAUTHORIZED: ("unauthorized", "The request has no valid API key."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("body-too-large", "The body is too large."),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("unsupported-media-type", "Unsupported Media Type."),
    HTTPStatus.TOO_MANY_REQUESTS: ("too-many-requests", "This API key sends too many requests."),
    HTTPStatus.SERVICE_UNAVAILABLE: ("unavailable", "Darkroom is busy: try again soon."),
}
_RETRIED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_TASK = "TaskToSubmit"


def make_document(app: Any, kinds: Kinds) -> Json:  # noqa: ANN401
    """The document of a Chalice application; `kinds` says how errors become problems."""
    operations = {
        f"{method} {path}": entry for path, methods in app.routes.items() for method, entry in methods.items()
    }
    if unknown := operations.keys() ^ OPERATIONS.keys():
        raise KeyError(f"docs/reference/operations.py and the routes differ: {sorted(unknown)}")
    paths: Json = {}
    for name, known in OPERATIONS.items():
        method, _, path = name.partition(" ")
        paths.setdefault(path, {})[method.lower()] = _operation(name, operations[name], known, kinds)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Darkroom", "version": __version__, "description": unwrap(_ABOUT)},
        "jsonSchemaDialect": DIALECT,
        "servers": [{"url": "https://{api}/{stage}", "variables": _VARIABLES}],
        "security": [{"key": []}],
        "tags": [{"name": name, "description": text} for name, text in GROUPS.items()],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
            "schemas": make_schemas(),
            **_shared_problems(kinds),
        },
    }


_VARIABLES = {"api": {"default": "example.execute-api.us-east-1.amazonaws.com"}, "stage": {"default": "prod"}}


def _operation(
    name: str,
    entry: Any,  # noqa: ANN401  one of Chalice's, which have no types
    known: Operation,
    kinds: Kinds,
) -> Json:
    summary, _, rest = (inspect.getdoc(entry.view_function) or "").partition("\n")[0].partition(". ")
    parameters = [PATHS[it] for it in re.findall(r"{(\w+)}", name)]
    parameters += [query(it, TaskQuery) for it in known.queries] + [header(it) for it in known.headers]
    made: Json = {"operationId": camel(entry.view_name), "tags": [known.group], "summary": summary.rstrip(".")}
    if rest or known.more:
        made["description"] = f"{rest} {known.more}".strip()
    if parameters:
        made["parameters"] = parameters
    if known.request is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": _body(name, known.request)}}
    if known.keyless:
        made["security"] = []
    made["responses"] = {**_answers(name, known), **_problems(known, kinds)}
    return made


def camel(name: str) -> str:
    """`submit_task` as `submitTask`."""
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _body(name: str, model: type[BaseModel] | str) -> Json:
    title = model if isinstance(model, str) else model.__name__
    schema = _ref(_TASK if model is TaskForm else title)
    return {"schema": schema, "examples": {key: {"value": it} for key, it in examples.REQUESTS[name].items()}}


def _answers(name: str, known: Operation) -> Json:
    made: Json = {}
    for status, model in known.answers.items():
        answer: Json = {"description": examples.MEANINGS.get((name, status), status.phrase)}
        if isinstance(model, str):
            answer["content"] = {model: {}}
        elif model is not None:
            example = examples.ANSWERS[name]
            answer["content"] = {"application/json": {"schema": _ref(model.__name__), "example": example}}
        headers = _answer_headers(name, known, status)
        links = {it: {"operationId": it, "parameters": {"id": "$response.body#/id"}} for it in known.links}
        made[str(int(status))] = (
            answer | ({"headers": headers} if headers else {}) | ({"links": links} if links else {})
        )
    return made


_CREATED = {"POST /v1/tasks": "task", "POST /v1/pipelines": "pipeline", "POST /v1/batches": "batch"}


def _answer_headers(name: str, known: Operation, status: HTTPStatus) -> Json:
    made: Json = {}
    if name in _CREATED:
        what = _CREATED[name]
        made["Location"] = {"description": f"Where the {what} is to be found.", "schema": {"type": "string"}}
    if "Prefer" in known.headers and status < HTTPStatus.BAD_REQUEST:
        made["Preference-Applied"] = {"description": "For how long was waited.", "schema": {"type": "string"}}
    return made


def _problems(known: Operation, kinds: Kinds) -> Json:
    by_status: dict[HTTPStatus, list[str]] = {}
    for kind in dict.fromkeys(known.problems):
        status, slug = kinds[kind]
        by_status.setdefault(status, []).append(slug)
    made = {status: _problem(status, slugs) for status, slugs in by_status.items()}
    for status in _GATEWAY:
        keyless = known.keyless and status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}
        bodiless = known.request is None and status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        if not keyless and not bodiless:
            made[status] = {"$ref": f"#/components/responses/{status.name.title().replace('_', '')}"}
    return {str(int(status)): made[status] for status in sorted(made)}


def _problem(status: HTTPStatus, slugs: Iterable[str]) -> Json:
    them = {slug: {"$ref": f"#/components/examples/{slug}"} for slug in slugs}
    content = {"application/problem+json": {"schema": _ref("Problem"), "examples": them}}
    made: Json = {"description": status.phrase, "content": content}
    if status in _RETRIED:
        made["headers"] = {
            "Retry-After": {"description": "Seconds after which to come again.", "schema": {"type": "integer"}}
        }
    return made


def _shared_problems(kinds: Kinds) -> Json:
    """The answers that every operation may give, and an example of each problem."""
    them = {slug: (status, title) for status, (slug, title) in _GATEWAY.items()}
    them |= {slug: (status, str(kind())) for kind, (status, slug) in kinds.items()}
    return {
        "responses": {
            status.name.title().replace("_", ""): _problem(status, [slug]) for status, (slug, _) in _GATEWAY.items()
        },
        "examples": {
            slug: {"value": examples.problem(status, slug, title)} for slug, (status, title) in sorted(them.items())
        },
    }


def make_schemas() -> Json:
    """Every model, by its name."""
    asked = {it.request for it in OPERATIONS.values() if isinstance(it.request, type)}
    asked |= {shapes.V1Alpha1, shapes.V1Alpha2, shapes.PipelineDocument, SavedRun, *CONTENTS.values()}
    told = {it for operation in OPERATIONS.values() for it in operation.answers.values() if isinstance(it, type)}
    told.add(shapes.Problem)
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    models += [(it, "validation") for it in sorted(asked, key=lambda model: model.__name__)]
    models += [(it, "serialization") for it in sorted(told, key=lambda model: model.__name__)]
    _, made = models_json_schema(models, ref_template="#/components/schemas/{model}")
    schemas: Json = _tidy(made["$defs"])
    for name, descriptions in FIELDS.items():
        for field, text in descriptions.items():
            schemas[name]["properties"][field]["description"] = text
    return dict(sorted((schemas | _variants(schemas)).items()))


def _variants(schemas: Json) -> Json:
    """The task form once for each type, with that type's content."""
    form, made, mapping = schemas[TaskForm.__name__], {}, {}
    for type_ in TaskType:
        name = "".join(part.title() for part in type_.split("-")) + "Task"
        content = _ref(CONTENTS[type_].__name__) if type_ in CONTENTS else _WORKFLOW
        changed = {"type": {"type": "string", "const": type_.value}, "content": content}
        description = f"A task of type `{type_.value}`."
        made[name] = form | {"description": description, "properties": form["properties"] | changed}
        mapping[type_.value] = _ref(name)["$ref"]
    discriminator = {"propertyName": "type", "mapping": mapping}
    made[_TASK] = {"oneOf": [{"$ref": it} for it in mapping.values()], "discriminator": discriminator}
    batch = schemas[BatchForm.__name__]
    batch["properties"]["tasks"]["items"] = _ref(_TASK)
    made["PipelineRequest"] = {
        "description": "A pipeline's document, or the name of a saved one with inputs.",
        "oneOf": [_ref(shapes.PipelineDocument.__name__), _ref(SavedRun.__name__)],
    }
    return made


_WORKFLOW: Json = {
    "type": "object",
    "description": "A ComfyUI workflow in API format: nodes by their ids, and at least one of them an output node.",
    "minProperties": 1,
    "additionalProperties": {
        "type": "object",
        "required": ["class_type", "inputs"],
        "properties": {"class_type": {"type": "string"}, "inputs": {"type": "object"}},
    },
}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _tidy(schema: Any) -> Any:  # noqa: ANN401  JSON
    """A schema without the titles that pydantic makes of the fields' names, and with whole paragraphs."""
    if isinstance(schema, list):
        return [_tidy(it) for it in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _tidy(it) for name, it in schema.items() if not (name == "title" and isinstance(it, str))}
    if isinstance(kept.get("description"), str):
        kept["description"] = unwrap(kept["description"])
    return kept


def unwrap(text: str) -> str:
    """A docstring's paragraphs, each on one line."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))
