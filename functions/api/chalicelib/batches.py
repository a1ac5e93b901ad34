"""Routes of `/v1/batches`."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from chalice.app import Blueprint, Response

from chalicelib.calls import NO_BODY, Call
from chalicelib.lazy import lazy_module
from chalicelib.problems import explaining
from darkroom.bodies import read_object
from darkroom.models import JsonObject
from darkroom.requests import validate

if TYPE_CHECKING:
    from chalicelib import batch_wiring as wiring
    from darkroom import batch_requests as requests
    from darkroom.batches import Batch
else:
    wiring = lazy_module("chalicelib.batch_wiring")
    requests = lazy_module("darkroom.batch_requests")

routes = Blueprint(__name__)


@routes.route("/v1/batches", methods=["POST"])
@explaining
def submit_batch() -> Response:
    """Work through a manifest: up to 100,000 rows, each a task or a run of one pipeline."""
    call = Call(routes.current_request)
    batch = wiring.desk.submit(read_object(call.body), call.key_id, call.new_id(), call.now)
    status = HTTPStatus.OK if batch.status.ended else HTTPStatus.ACCEPTED
    return Response(_detail(batch), status_code=status, headers={"Location": call.location(batch.id)})


@routes.route("/v1/batches", methods=["GET"])
@explaining
def list_batches() -> JsonObject:
    """List batches, newest first."""
    call = Call(routes.current_request)
    asked = {name: value for name, value in call.query.items() if name != "owner"}
    page: JsonObject = wiring.desk.page(call.owner, validate(requests.BatchQuery, asked)).model_dump(mode="json")
    return page


@routes.route("/v1/batches/{id}", methods=["GET"])
@explaining
def get_batch(id: str) -> JsonObject:  # noqa: A002  the path's own name for it
    """Look at a batch: how far it is, its results, and the first rows that failed."""
    return _detail(wiring.desk.get(Call(routes.current_request).owner, id))


@routes.route("/v1/batches/{id}/cancel", methods=["POST"], content_types=NO_BODY)
@explaining
def cancel_batch(id: str) -> JsonObject:  # noqa: A002
    """Cancel a batch and what it has running. One that has ended stays as it is."""
    call = Call(routes.current_request)
    return _detail(wiring.desk.cancel(wiring.desk.get(call.owner, id), call.now))


@routes.route("/v1/batches/{id}/retry", methods=["POST"], content_types=NO_BODY)
@explaining
def retry_batch(id: str) -> Response:  # noqa: A002
    """Run the rows of a batch that have not succeeded."""
    call = Call(routes.current_request)
    batch = wiring.desk.retry(wiring.desk.get(call.owner, id), call.now)
    return Response(_detail(batch), status_code=HTTPStatus.ACCEPTED)


def _detail(batch: "Batch") -> JsonObject:
    detail: JsonObject = wiring.desk.detail(batch).model_dump(mode="json")
    return detail
