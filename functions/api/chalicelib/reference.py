"""Routes that tell about the API itself. They need no key, but for `health`."""

import json
from functools import cache
from pathlib import Path

from chalice.app import Blueprint, Response

from chalicelib import wiring
from chalicelib.calls import Call
from chalicelib.problems import explaining
from darkroom import __version__
from darkroom.models import JsonObject
from darkroom.tasks import TaskKey

routes = Blueprint(__name__)
FILES = Path(__file__).parent / "reference_files"


@routes.route("/v1/health", methods=["GET"])
@explaining
def get_health() -> JsonObject:
    """Tell that the API reaches its table and its registry, and which runtimes are deployed."""
    wiring.store.get(TaskKey(Call(routes.current_request).key_id, ".health"))
    runtimes = {name: runtime.type for name, runtime in wiring.registry.all().items()}
    return {"status": "ok", "version": __version__, "runtimes": runtimes}


@routes.route("/v1/openapi.json", methods=["GET"])
@explaining
def get_openapi() -> JsonObject:
    """Get this API's description, OpenAPI 3.1."""
    document: JsonObject = json.loads(_read("openapi.json"))
    return document | {"servers": [{"url": Call(routes.current_request).base_url}]}


@routes.route("/v1/docs", methods=["GET"])
@explaining
def get_docs() -> Response:
    """Read this API's reference."""
    return Response(_read("docs.html"), headers={"Content-Type": "text/html; charset=utf-8"})


@cache
def _read(name: str) -> str:
    return (FILES / name).read_text()
