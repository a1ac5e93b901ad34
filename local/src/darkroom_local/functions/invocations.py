"""What comes of invoking a function: an answer, or a refusal before the function ran.

    InvokeError
    ├── FunctionNotFoundError   404 ResourceNotFoundException
    ├── RequestTooLargeError    413 RequestTooLargeException
    └── ThrottledError          429 TooManyRequestsException

Status and code are those of Lambda's `Invoke` operation
(https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self

Kind = Literal["RequestResponse", "Event"]

Log = Callable[[str, str], None]
"""Takes a source's name (a function, the gateway) and one line."""

ClientFactory = Callable[[str], Any]
"""Gives a boto3 client of the emulated AWS for a service's name (`sqs`); called in the event loop's thread."""


class InvokeError(Exception):
    """The invocation was refused."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "ServiceException"


class FunctionNotFoundError(InvokeError):
    """No function has this name."""

    status = 404
    code = "ResourceNotFoundException"


class RequestTooLargeError(InvokeError):
    """The payload is larger than Lambda takes."""

    status = 413
    code = "RequestTooLargeException"


class ThrottledError(InvokeError):
    """As many invocations run as the function's reserved concurrency allows."""

    status = 429
    code = "TooManyRequestsException"


@dataclass(frozen=True)
class Invocation:
    """How an invocation ended.

    `payload` is the function's JSON answer, or the error as JSON (`errorMessage`, `errorType`, …) where
    `function_error` is set. Lambda answers "Unhandled" for every error of a function, those the runtime
    reports included, and so does this; "Handled" is history. An accepted asynchronous invocation has no payload.
    """

    request_id: str
    payload: bytes = b""
    function_error: Literal["Handled", "Unhandled"] | None = None

    @classmethod
    def failed(cls, request_id: str, error_type: str, message: str) -> Self:
        """An error that Lambda itself reports, in its words."""
        error = {"errorType": error_type, "errorMessage": message}
        return cls(request_id, json.dumps(error).encode(), "Unhandled")

    @property
    def error_message(self) -> str:
        """What went wrong, for a log or a dead letter; empty if nothing did."""
        if self.function_error is None:
            return ""
        try:
            error = json.loads(self.payload)
            return f"{error.get('errorType', '')}: {error.get('errorMessage', '')}"
        except (ValueError, AttributeError):
            return self.payload.decode(errors="replace")


class Invoke(Protocol):
    """Invokes a function; `FunctionHost.invoke` is one."""

    async def __call__(self, function_name: str, payload: bytes, *, kind: Kind = "RequestResponse") -> Invocation:
        """Gives the outcome; raises `InvokeError` if the invocation is refused."""


@dataclass(frozen=True)
class Limits:
    """Sizes (bytes), times (seconds) and numbers that hold for every function.

    Sizes and `init_seconds` are Lambda's quotas (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
    `retry_delays` stand between the attempts of an asynchronous invocation: AWS waits 60 and 120 seconds, here a
    person is waiting. `processes` is how many processes of one function run at once; further invocations wait for
    one of them, because one machine is not a data centre. `stop_seconds` is the time between SIGTERM and SIGKILL.
    """

    request_bytes: int = 6 * 1024 * 1024
    event_bytes: int = 1024 * 1024
    response_bytes: int = 6 * 1024 * 1024 + 100
    init_seconds: float = 10.0
    idle_seconds: float = 300.0
    stop_seconds: float = 2.0
    retry_delays: tuple[float, ...] = (1.0, 2.0)
    processes: int = 8
