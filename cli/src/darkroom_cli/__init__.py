"""Darkroom's client library: `Client` and `AsyncClient` speak to an API. The command `darkroom` uses it."""

from darkroom.outputs import OutputOptions
from darkroom.tasks import TaskStatus, TaskType
from darkroom.webhooks import Webhook
from darkroom_cli.async_client import AsyncClient
from darkroom_cli.client import Client
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
