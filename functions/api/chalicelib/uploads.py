"""Routes of `/v1/uploads`."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from chalice.app import Blueprint, Response

from chalicelib.calls import Call
from chalicelib.lazy import lazy_module
from chalicelib.problems import explaining
from darkroom.bodies import read_object
from darkroom.models import JsonObject

if TYPE_CHECKING:
    from chalicelib import more_wiring as wiring
else:
    wiring = lazy_module("chalicelib.more_wiring")

routes = Blueprint(__name__)


@routes.route("/v1/uploads", methods=["POST"])
@explaining
def start_upload() -> Response:
    """Get a place to put an input at."""
    call = Call(routes.current_request)
    upload = wiring.uploads.start(read_object(call.body), call.key_id, call.now)
    return Response(upload.model_dump(mode="json"), status_code=HTTPStatus.CREATED)


@routes.route("/v1/uploads:complete", methods=["POST"])
@explaining
def complete_upload() -> JsonObject:
    """Make one file of the parts that were put."""
    call = Call(routes.current_request)
    return wiring.uploads.finish(read_object(call.body), call.key_id).model_dump(mode="json")
