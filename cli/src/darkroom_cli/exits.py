"""Exit codes: what a script can tell from how `darkroom` ended."""

from enum import IntEnum

from darkroom_cli.errors import (
    ClientError,
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    TaskNotSucceededError,
    UnauthorizedError,
    UnreachableError,
    UsageError,
    WaitTimeoutError,
)


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_FOUND = 3
    TASK_FAILED = 4
    TIMEOUT = 5
    UNREACHABLE = 6
    UNAUTHORIZED = 7
    CONFLICT = 8
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """What it says, for the documentation."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.OK: "it worked",
    ExitCode.FAILURE: "it did not, for a reason without a code of its own",
    ExitCode.USAGE: "the options, the content or the profile have to be mended",
    ExitCode.NOT_FOUND: "there is no such task or runtime",
    ExitCode.TASK_FAILED: "the task failed, was cancelled or expired",
    ExitCode.TIMEOUT: "the task did not end in time; it goes on",
    ExitCode.UNREACHABLE: "no answer, or the API has a fault: again may help",
    ExitCode.UNAUTHORIZED: "the API key is wrong, or may not do this",
    ExitCode.CONFLICT: "the id is taken, or the task's state is against it",
    ExitCode.INTERRUPTED: "Ctrl-C",
}

_BY_ERROR: tuple[tuple[type[ClientError], ExitCode], ...] = (
    (ConfigurationError, ExitCode.USAGE),
    (UsageError, ExitCode.USAGE),
    (InvalidRequestError, ExitCode.USAGE),
    (NotFoundError, ExitCode.NOT_FOUND),
    (TaskNotSucceededError, ExitCode.TASK_FAILED),
    (WaitTimeoutError, ExitCode.TIMEOUT),
    (UnreachableError, ExitCode.UNREACHABLE),
    (RateLimitedError, ExitCode.UNREACHABLE),
    (ServerError, ExitCode.UNREACHABLE),
    (UnauthorizedError, ExitCode.UNAUTHORIZED),
    (ConflictError, ExitCode.CONFLICT),
)


def exit_code(error: ClientError) -> ExitCode:
    """The code that an error ends the command with."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.FAILURE)
