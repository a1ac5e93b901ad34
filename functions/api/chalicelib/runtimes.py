"""Routes of `/v1/runtimes`."""

from typing import TYPE_CHECKING

from chalice.app import Blueprint

from chalicelib.calls import NO_BODY, Call
from chalicelib.lazy import lazy_module
from chalicelib.problems import explaining
from darkroom.models import JsonObject

if TYPE_CHECKING:
    from chalicelib import more_wiring as wiring
else:
    wiring = lazy_module("chalicelib.more_wiring")

routes = Blueprint(__name__)


@routes.route("/v1/runtimes", methods=["GET"])
@explaining
def list_runtimes() -> JsonObject:
    """List the runtimes, and how they fare."""
    call = Call(routes.current_request)
    return wiring.runtimes.list(call.owner, call.now).model_dump(mode="json")


@routes.route("/v1/runtimes/{name}", methods=["GET"])
@explaining
def get_runtime(name: str) -> JsonObject:
    """Look at a runtime, and how it fares."""
    call = Call(routes.current_request)
    return wiring.runtimes.get(name, call.owner, call.now).model_dump(mode="json")


@routes.route("/v1/runtimes/{name}/redrive", methods=["POST"], content_types=NO_BODY)
@explaining
def redrive_runtime(name: str) -> JsonObject:
    """Put a runtime's dead letters back into its queue."""
    Call(routes.current_request).require_operator()
    return wiring.runtimes.redrive(name).model_dump(mode="json")
