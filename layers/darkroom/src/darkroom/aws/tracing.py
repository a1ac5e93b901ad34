"""Traces of invocations."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

from aws_lambda_powertools import Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from darkroom.settings import trace_is_sampled

Event = TypeVar("Event")
Answer = TypeVar("Answer")
Handler = Callable[[Event, LambdaContext], Answer]


def capture_sampled(handler: Handler[Event, Answer]) -> Handler[Event, Answer]:
    """Trace the invocations that X-Ray samples, and their calls to AWS; no answers are kept, they are users' own.

    A Tracer imports the X-Ray SDK as it is made, which takes longer than all else most cold starts do. A process
    makes it at its first sampled invocation. Calls to others than AWS carry no trace ids to strangers.
    """

    @cache
    def traced() -> Callable[..., Any]:
        return Tracer(patch_modules=["botocore"]).capture_lambda_handler(handler, capture_response=False)

    @wraps(handler)
    def handle(event: Event, context: LambdaContext) -> Answer:
        answer: Answer = (traced() if trace_is_sampled() else handler)(event, context)
        return answer

    return handle
