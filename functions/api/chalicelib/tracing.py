"""Traces of requests."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from aws_lambda_powertools import Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from darkroom.settings import trace_is_sampled

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]


def capture_sampled(handler: Handler) -> Handler:
    """Trace the requests that X-Ray samples.

    A Tracer imports the X-Ray SDK as it is made, which takes longer than all else a cold start does. A process
    makes it at its first sampled request.
    """

    @cache
    def traced() -> Handler:
        return Tracer().capture_lambda_handler(handler, capture_response=False)

    @wraps(handler)
    def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return (traced() if trace_is_sampled() else handler)(event, context)

    return handle
