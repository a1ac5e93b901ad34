"""What can go wrong between a caller and Darkroom, in one tree.

::

    DarkroomError (darkroom.errors)
    └── ClientError                  everything below; `hint` says what to do about it
        ├── ConfigurationError       it is not known which API to call, or a setting makes no sense
        │   └── NotRunningError      no local cloud runs on this machine
        ├── NotInstalledError        a command needs a package that is not there
        ├── LocalCloudError          the local cloud did not start
        ├── UsageError               what was asked for makes no sense
        ├── UnreachableError         no answer came: the network, or a time limit
        ├── UnexpectedAnswerError    an answer came, and not one of Darkroom's
        ├── ApiError                 the API said no: `status`, `type`, `fields`
        │   ├── InvalidRequestError  400, 413, 415, 422: the request has to be mended
        │   ├── UnauthorizedError    401, 403: the key is wrong, or may not do this
        │   ├── NotFoundError        404
        │   ├── ConflictError        409: the id, the key or the task's state is against it
        │   ├── RateLimitedError     429: `retry_after` says for how long
        │   └── ServerError          5xx
        ├── TaskNotSucceededError    the task failed, was cancelled or expired; `task` is how it ended
        ├── WaitTimeoutError         the task did not end in time; `task` is how it stands
        ├── TransferError            a file could not be uploaded or downloaded
        ├── AwsError                 AWS said no to what the command line asked of it
        └── WebhookError             a webhook's signature does not hold

A class's docstring is its default message, `hint` what to do next.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

from darkroom.errors import DarkroomError, FieldError
from darkroom.models import JsonObject

if TYPE_CHECKING:
    from darkroom_cli.batches import Batch
    from darkroom_cli.tasks import Task


class ClientError(DarkroomError):
    """Something went wrong."""

    default_hint: ClassVar[str | None] = None

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint or self.default_hint


class ConfigurationError(ClientError):
    """It is not known which Darkroom to talk to."""

    default_hint = "See `darkroom config --help`, or set DARKROOM_URL and DARKROOM_API_KEY."


class NotRunningError(ConfigurationError):
    """No local cloud runs on this machine."""

    default_hint = "Start one with `darkroom local up`, or choose another profile with `darkroom config use`."


class NotInstalledError(ClientError):
    """The local cloud is not installed."""

    default_hint = "Get it: pip install 'darkroom-cli[local]'"


class LocalCloudError(ClientError):
    """The local cloud did not start."""


class UsageError(ClientError):
    """This cannot be asked for."""


class UnreachableError(ClientError):
    """No answer came.

    Attributes:
        sent: whether the request may have arrived all the same.
    """

    default_hint = "Check the address (`darkroom config list`) and the network."

    def __init__(self, message: str | None = None, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class UnexpectedAnswerError(ClientError):
    """The answer is not one of Darkroom's."""

    default_hint = "Check that the address is that of a Darkroom API, its stage included."


class ApiError(ClientError):
    """The API refused the request.

    Attributes:
        status: the HTTP status.
        type: the kind of problem, short (`unknown-runtime`), for programs to match.
        title: the problem in a sentence.
        detail: more about this occurrence, or None.
        fields: what is wrong with which field of the request.
        retry_after: seconds after which the API says to come again, or None.
        request_id: what to name to an operator, or None.
    """

    def __init__(
        self,
        status: int,
        problem: JsonObject,
        *,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        self.status = status
        self.type = str(problem.get("type", "")).removeprefix("urn:darkroom:problem:") or "unknown"
        self.title = str(problem.get("title") or f"The API answered {status}.")
        self.detail = next((str(problem[name]) for name in ("detail", "message") if problem.get(name)), None)
        self.fields = tuple(_read_fields(problem.get("errors")))
        self.retry_after = retry_after
        self.request_id = request_id or problem.get("request_id")
        message = "\n".join([" ".join(filter(None, (self.title, self.detail))), *self._field_lines()])
        super().__init__(message, hint=None if "type" in problem else _NOT_OURS)

    def _field_lines(self) -> list[str]:
        return [
            f"  {fault.field}: {fault.message}" if fault.field else f"  {fault.message}" for fault in self.fields
        ]


class InvalidRequestError(ApiError):
    """The request has to be mended."""


class UnauthorizedError(ApiError):
    """The API key is wrong, or may not do this."""

    default_hint = "Check the profile's API key: `darkroom config set NAME --api-key …`."


class NotFoundError(ApiError):
    """There is no such thing."""


class ConflictError(ApiError):
    """The present state is against it."""


class RateLimitedError(ApiError):
    """Too many requests."""

    default_hint = "Send fewer requests at once, or have the usage plan raised."


class ServerError(ApiError):
    """The API has a fault of its own."""

    default_hint = "Try again; if it stays, give the request id to whoever runs this Darkroom."


class TaskNotSucceededError(ClientError):
    """The task did not succeed."""

    def __init__(self, task: "Task") -> None:
        reason = f": {task.error.type}: {task.error.message}" if task.error else ""
        super().__init__(f"task {task.id} {task.status}{reason}", hint=_retry_hint(task))
        self.task = task


class WaitTimeoutError(ClientError, TimeoutError):
    """The task, or the batch, did not end in time."""

    def __init__(self, task: "Task | Batch", seconds: float) -> None:
        kind = type(task).__name__.lower()
        super().__init__(
            f"{kind} {task.id} is still {task.status} after {seconds:g} s",
            hint=f"It goes on. Follow it with `darkroom {kind}{'s' if kind == 'task' else 'es'} watch {task.id}`.",
        )
        self.task = task


class TransferError(ClientError):
    """The file could not be transferred.

    Attributes:
        status: what the storage answered, or None where it was not asked.
    """

    def __init__(self, message: str | None = None, *, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status

    @property
    def refused(self) -> bool:
        """True where the link is not, or no longer, a permission."""
        return self.status == HTTPStatus.FORBIDDEN


class AwsError(ClientError):
    """AWS refused."""


class WebhookError(ClientError):
    """The webhook cannot be trusted."""

    default_hint = "Check the secret, and that the body is what came, byte for byte: not parsed and written again."


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: UnauthorizedError,
    403: UnauthorizedError,
    404: NotFoundError,
    409: ConflictError,
    413: InvalidRequestError,
    415: InvalidRequestError,
    422: InvalidRequestError,
    429: RateLimitedError,
}
SERVER_FAULTS = 500
_NOT_OURS = "This is not how Darkroom answers: check the address, its stage included (`darkroom config list`)."


def error_class(status: int) -> type[ApiError]:
    """The class of the error that a status stands for."""
    return _BY_STATUS.get(status, ServerError if status >= SERVER_FAULTS else ApiError)


def _read_fields(entries: object) -> Sequence[FieldError]:
    if not isinstance(entries, list):
        return ()
    return [
        FieldError(str(entry.get("field", "")), str(entry.get("message", "")))
        for entry in entries
        if isinstance(entry, dict)
    ]


def _retry_hint(task: "Task") -> str | None:
    if task.error is not None and task.error.retryable:
        return f"It may work another time: `darkroom tasks retry {task.id}`."
    return None
