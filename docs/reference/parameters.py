"""Parameters of the routes: in paths, in queries, in headers."""

from typing import Any

from pydantic import BaseModel

from darkroom.task_requests import IDEMPOTENCY_KEY
from darkroom.tasks import TaskStatus, TaskType

Json = dict[str, Any]

PATHS: dict[str, Json] = {
    "id": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "Its id.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"},
        "example": "lighthouse-1",
    },
    "name": {
        "name": "name",
        "in": "path",
        "required": True,
        "description": "Its name.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"},
        "example": "sdruntime",
    },
}

_QUERIES = {
    "status": "Only tasks of this status; may be repeated.",
    "type": "Only tasks of this type; may be repeated.",
    "runtime": "Only tasks of this runtime.",
    "model": "Only tasks that asked for this checkpoint.",
    "pipeline": "Only tasks of this pipeline.",
    "since": "Only tasks that were created then or later.",
    "until": "Only tasks that were created before.",
    "limit": "How many a page holds.",
    "cursor": "Where the page begins: `next_cursor` of the page before.",
    "version": "Which version; the latest where it is absent.",
    "owner": "Another owner, by the id of its API key. For operators.",
}

_HEADERS = {
    "Idempotency-Key": (
        {"type": "string", "pattern": f"^{IDEMPOTENCY_KEY}$"},
        "A name for this request, of your own making: repeating it changes nothing. For tasks without an `id`.",
        "6f1c2c0e-0b1e-4b7e-9d0c-0f3e9a1b2c3d",
    ),
    "Prefer": ({"type": "string", "pattern": "^wait=[0-9]{1,2}$"}, "`wait=N`: hold the answer back.", "wait=20"),
}


def query(name: str, model: type[BaseModel]) -> Json:
    """A parameter of a query, as the model has it."""
    schema = model.model_json_schema()["properties"].get(name) or _OTHERS[name]
    schema = next((it for it in schema.get("anyOf", []) if it.get("type") != "null"), schema)
    schema = {key: it for key, it in schema.items() if key not in {"title", "default"} or (key, name) == _DEFAULT}
    if "items" in schema:
        names = {"status": TaskStatus, "type": TaskType}[name]
        schema["items"] = {"type": "string", "enum": [str(it) for it in names]}
    return {"name": name, "in": "query", "required": False, "description": _QUERIES[name], "schema": schema}


_DEFAULT = ("default", "limit")
_OTHERS: dict[str, Json] = {
    "owner": {"type": "string", "pattern": "^[a-z0-9]{1,64}$"},
    "version": {"type": "integer", "minimum": 1},
}


def header(name: str) -> Json:
    """A parameter in a header."""
    schema, description, example = _HEADERS[name]
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": schema,
        "example": example,
    }
