"""Darkroom's client library: `Client` and `AsyncClient` speak to an API. The command `darkroom` uses it."""

from typing import TYPE_CHECKING, Any

from darkroom.outputs import OutputOptions
from darkroom.tasks import TaskStatus, TaskType
from darkroom.webhooks import Webhook
from darkroom_cli.errors import (
    ApiError,
    ClientError,
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    NotRunningError,
    RateLimitedError,
    ServerError,
    TaskNotSucceededError,
    TransferError,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnreachableError,
    WaitTimeoutError,
)
from darkroom_cli.limits import Limits, Polling, Retries, Timeouts, Transfers
from darkroom_cli.operations import Finished
from darkroom_cli.runtimes import Runtime
from darkroom_cli.tasks import Submission, Task

if TYPE_CHECKING:
    from darkroom_cli.async_client import AsyncClient
    from darkroom_cli.client import Client

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "ClientError",
    "ConfigurationError",
    "ConflictError",
    "Finished",
    "InvalidRequestError",
    "Limits",
    "NotFoundError",
    "NotRunningError",
    "OutputOptions",
    "Polling",
    "RateLimitedError",
    "Retries",
    "Runtime",
    "ServerError",
    "Submission",
    "Task",
    "TaskNotSucceededError",
    "TaskStatus",
    "TaskType",
    "Timeouts",
    "TransferError",
    "Transfers",
    "UnauthorizedError",
    "UnexpectedAnswerError",
    "UnreachableError",
    "WaitTimeoutError",
    "Webhook",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  a class
    """The clients are loaded when they are asked for: a command that needs none should not wait for them."""
    if name == "Client":
        from darkroom_cli.client import Client

        return Client
    if name == "AsyncClient":
        from darkroom_cli.async_client import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
