"""Errors as HTTP: RFC 9457's `application/problem+json`, in one place and by type."""

import functools
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, ParamSpec

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError
from chalice.app import Request, Response

from darkroom import errors
from darkroom.models import JsonObject

logger = Logger(child=True)
P = ParamSpec("P")

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = "1"
"""Seconds after which a caller is asked to come again."""

KINDS: Mapping[type[errors.RequestError], tuple[HTTPStatus, str]] = {
    errors.MalformedBodyError: (HTTPStatus.BAD_REQUEST, "malformed-body"),
    errors.BodyTooLargeError: (HTTPStatus.BAD_REQUEST, "body-too-large"),
    errors.InvalidRequestError: (HTTPStatus.BAD_REQUEST, "invalid-request"),
    errors.UnknownRuntimeError: (HTTPStatus.BAD_REQUEST, "unknown-runtime"),
    errors.UnsupportedTaskError: (HTTPStatus.BAD_REQUEST, "unsupported-task"),
    errors.ForbiddenError: (HTTPStatus.FORBIDDEN, "forbidden"),
    errors.TaskNotFoundError: (HTTPStatus.NOT_FOUND, "task-not-found"),
    errors.RuntimeNotFoundError: (HTTPStatus.NOT_FOUND, "runtime-not-found"),
    errors.UploadNotFoundError: (HTTPStatus.NOT_FOUND, "upload-not-found"),
    errors.UnknownSecretError: (HTTPStatus.NOT_FOUND, "unknown-secret"),
    errors.TaskConflictError: (HTTPStatus.CONFLICT, "task-conflict"),
    errors.TaskUnfinishedError: (HTTPStatus.CONFLICT, "task-unfinished"),
    errors.TaskNotRetryableError: (HTTPStatus.CONFLICT, "task-not-retryable"),
    errors.PipelineNotFoundError: (HTTPStatus.NOT_FOUND, "pipeline-not-found"),
    errors.DefinitionNotFoundError: (HTTPStatus.NOT_FOUND, "definition-not-found"),
    errors.PipelineConflictError: (HTTPStatus.CONFLICT, "pipeline-conflict"),
    errors.PipelineStateError: (HTTPStatus.CONFLICT, "pipeline-state"),
    errors.BatchNotFoundError: (HTTPStatus.NOT_FOUND, "batch-not-found"),
    errors.BatchConflictError: (HTTPStatus.CONFLICT, "batch-conflict"),
    errors.BatchStateError: (HTTPStatus.CONFLICT, "batch-state"),
}

_BUSY = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottlingException",
        "TooManyRequestsException",
        "TooManyUpdates",
    }
)
"""What AWS says where the same request may do later."""


def problem(status: HTTPStatus, slug: str, title: str, **more: object) -> JsonObject:
    """What says what is wrong; `more` are further members of the problem."""
    return {"type": f"urn:darkroom:problem:{slug}", "title": title, "status": int(status), **more}


def describe(error: errors.RequestError) -> JsonObject:
    """An error as a problem."""
    status, slug = KINDS[type(error)]
    fields = [{"field": fault.field, "message": fault.message} for fault in error.fields]
    logger.info("request_refused", extra={"problem": slug, "errors": fields})
    title, message = str(type(error)()), str(error)
    detail = {"detail": message} if message != title else {}
    return problem(status, slug, title, **detail, **({"errors": fields} if fields else {}))


def explaining(view: Callable[P, Any]) -> Callable[P, Any]:
    """Make a view answer with a problem where it raises a `RequestError`, or where AWS asks for patience."""

    @functools.wraps(view)
    def answer(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401  a view returns what Chalice can serialise
        try:
            return view(*args, **kwargs)
        except errors.RequestError as error:
            return _respond(describe(error))
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") not in _BUSY:
                raise
            logger.exception("aws_unavailable")
            busy = problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "Darkroom is busy: try again soon.")
            return _respond(busy, {"Retry-After": RETRY_AFTER})

    return answer


def explain_chalice(event: Request, get_response: Callable[[Request], Response]) -> Response:
    """Give the refusals that Chalice makes itself (405, 415, 500) the form of all others. A middleware.

    Every problem gets the id of its request, for whoever has to ask an operator about it.
    """
    response = get_response(event)
    if response.status_code < HTTPStatus.BAD_REQUEST or not isinstance(response.body, dict):
        return response
    if "Code" in response.body:
        response = _explain(response)
    response.body["request_id"] = event.context.get("requestId")
    return response


def _explain(response: Response) -> Response:
    status = HTTPStatus(response.status_code)
    slug = status.phrase.lower().replace(" ", "-")
    explained = problem(status, slug, f"{status.phrase}.", detail=response.body["Message"])
    return _respond(explained, {name: str(value) for name, value in response.headers.items() if name == "Allow"})


def _respond(body: JsonObject, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status_code=body["status"], headers={"Content-Type": CONTENT_TYPE, **(headers or {})})
