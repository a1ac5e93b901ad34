"""Errors as HTTP: RFC 9457's `application/problem+json`, in one place and by type."""

import functools
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, ParamSpec

from aws_lambda_powertools import Logger
from chalice.app import Request, Response

from darkroom import errors

logger = Logger(child=True)
P = ParamSpec("P")

_KINDS: Mapping[type[errors.RequestError], tuple[HTTPStatus, str]] = {
    errors.MalformedBodyError: (HTTPStatus.BAD_REQUEST, "malformed-body"),
    errors.BodyTooLargeError: (HTTPStatus.BAD_REQUEST, "body-too-large"),
    errors.InvalidRequestError: (HTTPStatus.BAD_REQUEST, "invalid-request"),
    errors.UnknownRuntimeError: (HTTPStatus.BAD_REQUEST, "unknown-runtime"),
    errors.UnsupportedTaskError: (HTTPStatus.BAD_REQUEST, "unsupported-task"),
    errors.TaskConflictError: (HTTPStatus.CONFLICT, "task-conflict"),
    errors.TaskNotFoundError: (HTTPStatus.NOT_FOUND, "task-not-found"),
}


def problem(status: HTTPStatus, slug: str, title: str, **more: object) -> Response:
    """An answer that says what is wrong; `more` are further members of the problem."""
    body = {"type": f"urn:darkroom:problem:{slug}", "title": title, "status": int(status), **more}
    return Response(body, status_code=int(status), headers={"Content-Type": "application/problem+json"})


def explaining(view: Callable[P, Any]) -> Callable[P, Any]:
    """Make a view answer with a problem where it raises a `RequestError`."""

    @functools.wraps(view)
    def answer(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401  a view returns what Chalice can serialise
        try:
            return view(*args, **kwargs)
        except errors.RequestError as error:
            status, slug = _KINDS[type(error)]
            fields = [{"field": fault.field, "message": fault.message} for fault in error.fields]
            logger.info("request_refused", extra={"problem": slug, "errors": fields})
            return problem(status, slug, str(error), **({"errors": fields} if fields else {}))

    return answer


def explain_chalice(event: Request, get_response: Callable[[Request], Response]) -> Response:
    """Give the refusals that Chalice makes itself (405, 415, 500) the form of all others. A middleware."""
    response = get_response(event)
    if response.status_code < HTTPStatus.BAD_REQUEST or not isinstance(response.body, dict):
        return response
    if "Code" not in response.body:
        return response
    status = HTTPStatus(response.status_code)
    slug = status.phrase.lower().replace(" ", "-")
    explained = problem(status, slug, f"{status.phrase}.", detail=response.body["Message"])
    explained.headers |= {name: value for name, value in response.headers.items() if name == "Allow"}
    return explained
