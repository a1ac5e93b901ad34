"""Routes of `/v1/pipelines` and `/v1/pipeline-definitions`."""

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from chalice.app import Blueprint, Response

from chalicelib.calls import NO_BODY, Call
from chalicelib.lazy import lazy_module
from chalicelib.problems import explaining
from darkroom.bodies import read_object
from darkroom.errors import FieldError, InvalidRequestError
from darkroom.models import JsonObject
from darkroom.requests import is_id

if TYPE_CHECKING:
    from chalicelib import pipeline_wiring as wiring
    from darkroom import pipeline_answers as answers
    from darkroom.pipelines import Pipeline
else:
    wiring = lazy_module("chalicelib.pipeline_wiring")
    answers = lazy_module("darkroom.pipeline_answers")

MAX_PAGE = 100
_POSITION = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S{1,128}")

routes = Blueprint(__name__)


@routes.route("/v1/pipelines", methods=["POST"])
@explaining
def submit_pipeline() -> Response:
    """Run a pipeline: a document, or a saved one with inputs."""
    call = Call(routes.current_request)
    pipeline = wiring.desk.submit(read_object(call.body), call.key_id, call.now)
    return _answer(call, pipeline, HTTPStatus.ACCEPTED, {"Location": call.location(pipeline.id)})


@routes.route("/v1/pipelines:validate", methods=["POST"])
@explaining
def validate_pipeline() -> JsonObject:
    """Check a pipeline's document without running it."""
    call = Call(routes.current_request)
    document = wiring.submissions.check(read_object(call.body), call.key_id)
    steps = tuple(step.id for step in document.steps)
    return answers.PipelineCheck(name=document.name, steps=steps).model_dump(mode="json")


@routes.route("/v1/pipelines", methods=["GET"])
@explaining
def list_pipelines() -> JsonObject:
    """List pipelines, newest first."""
    call = Call(routes.current_request)
    asked = dict(call.query)
    limit, before = asked.pop("limit", "20"), asked.pop("cursor", None)
    faults = [FieldError(name, "is no parameter of this list") for name in asked if name != "owner"]
    if not limit.isdecimal() or not 1 <= int(limit) <= MAX_PAGE:
        faults.append(FieldError("limit", f"must be from 1 to {MAX_PAGE}"))
    if before is not None and not _POSITION.fullmatch(before):
        faults.append(FieldError("cursor", "is none that this list gave"))
    if faults:
        raise InvalidRequestError(fields=faults)
    found = wiring.desk.page(call.owner, int(limit), before)
    more = found[-1].position if len(found) == int(limit) else None
    items = tuple(map(answers.PipelineSummary.of, found))
    return answers.PipelineList(items=items, next_cursor=more).model_dump(mode="json")


@routes.route("/v1/pipelines/{id}", methods=["GET"])
@explaining
def get_pipeline(id: str) -> Response:  # noqa: A002  the path's own name for it
    """Look at a pipeline and its steps."""
    call = Call(routes.current_request)
    return _answer(call, wiring.desk.get(call.owner, id), HTTPStatus.OK)


@routes.route("/v1/pipelines/{id}/cancel", methods=["POST"], content_types=NO_BODY)
@explaining
def cancel_pipeline(id: str) -> JsonObject:  # noqa: A002
    """Cancel a pipeline and its tasks. One that has ended stays as it is."""
    call = Call(routes.current_request)
    cancelled = wiring.desk.cancel(wiring.desk.get(call.owner, id), call.now)
    return wiring.desk.detail(cancelled).model_dump(mode="json")


@routes.route("/v1/pipelines/{id}/retry", methods=["POST"], content_types=NO_BODY)
@explaining
def retry_pipeline(id: str) -> Response:  # noqa: A002
    """Run a pipeline again from its failed step on."""
    call = Call(routes.current_request)
    pipeline = wiring.desk.retry(wiring.desk.get(call.owner, id), call.now)
    return _answer(call, pipeline, HTTPStatus.ACCEPTED)


@routes.route("/v1/pipeline-definitions", methods=["GET"])
@explaining
def list_pipeline_definitions() -> JsonObject:
    """List saved pipelines and their latest versions."""
    names = wiring.definitions.names(Call(routes.current_request).owner)
    return {"items": [{"name": name, "version": version} for name, version in names.items()]}


@routes.route("/v1/pipeline-definitions/{name}", methods=["PUT"])
@explaining
def save_pipeline_definition(name: str) -> JsonObject:
    """Save a pipeline's document as the next version of a name."""
    call = Call(routes.current_request)
    if not is_id(name):
        raise InvalidRequestError(fields=[FieldError("name", "is none that a definition can have")])
    body = read_object(call.body)
    wiring.submissions.check(body, call.key_id)
    return {"name": name, "version": wiring.definitions.save(call.key_id, name, body, call.now)}


@routes.route("/v1/pipeline-definitions/{name}", methods=["GET"])
@explaining
def get_pipeline_definition(name: str) -> JsonObject:
    """Look at the latest version of a saved pipeline, or with `?version=` at another."""
    call = Call(routes.current_request)
    asked = call.query.get("version")
    if asked is not None and not asked.isdecimal():
        raise InvalidRequestError(fields=[FieldError("version", "must be a number")])
    version, document = wiring.definitions.load(call.owner, name, None if asked is None else int(asked))
    return {"name": name, "version": version, "document": document}


def _answer(
    call: Call, pipeline: "Pipeline", open_status: HTTPStatus, headers: dict[str, str] | None = None
) -> Response:
    """The pipeline, after as much waiting as the caller prefers; `open_status` is for one that has not ended."""
    sent: dict[str, str | list[str]] = {**(headers or {})}
    seconds = call.wait(routes.lambda_context.get_remaining_time_in_millis() / 1000)
    if seconds is not None:
        pipeline = wiring.desk.wait(pipeline, seconds)
        sent["Preference-Applied"] = f"wait={seconds}"
    status = HTTPStatus.OK if pipeline.status.ended else open_status
    return Response(wiring.desk.detail(pipeline).model_dump(mode="json"), status_code=status, headers=sent)
