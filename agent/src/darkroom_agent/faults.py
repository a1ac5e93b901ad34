"""What can go wrong, by type, and what follows from it.

::

    TaskFailedError                 the task ends
    └── FailedForNowError           … and submitting it again may help
    TaskInterruptedError            the task is put back and tried again
    ├── DrainedError                … at once: only this agent ends
    └── RuntimeLostError            … and nothing is taken until the runtime is ready again
        ├── RuntimeBusyError        … with something else
        ├── RuntimeStuckError       … whose restart is asked for meanwhile
        └── RuntimeHungError        … whose restart is asked for until it has been away
    GivenUpError                    something more important happened while a task was worked on
"""

import random

from botocore.exceptions import BotoCoreError, ClientError

from darkroom.errors import DarkroomError, TaskFailedError, TaskInterruptedError
from darkroom.tasks import TaskError

AWS_FAULTS = (BotoCoreError, ClientError)
"""What an AWS call raises, whichever service."""

_THROTTLED = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
_SERVER_FAULT = 500


class FailedForNowError(TaskFailedError):
    """The task ends, but the same task may succeed later."""


class DrainedError(TaskInterruptedError):
    """The agent must end before the task does."""


class RuntimeLostError(TaskInterruptedError):
    """The runtime cannot work at present."""


class RuntimeBusyError(RuntimeLostError):
    """It works at something that nobody waits for; the message says what is waited for."""


class RuntimeStuckError(RuntimeLostError):
    """The runtime goes on with what it was told to stop. It may come to its end after all."""


class RuntimeHungError(RuntimeLostError):
    """The runtime makes no progress. What it says of itself is not believed until it was started anew."""


class GivenUpError(DarkroomError):
    """The work was given up because of something else."""


def is_passing(error: Exception) -> bool:
    """True where an AWS call may succeed when repeated; False for a refusal (`AccessDenied`, `NoSuchBucket`)."""
    if not isinstance(error, ClientError):
        return True  # no answer at all: a connection, a name, a timeout, credentials that are being renewed
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _SERVER_FAULT)
    return status >= _SERVER_FAULT or error.response.get("Error", {}).get("Code", "") in _THROTTLED


def describe(error: Exception) -> str:
    """One line about an exception, for logs."""
    return f"{type(error).__name__}: {error}"[:300]


def as_task_error(error: TaskFailedError | TaskInterruptedError) -> TaskError:
    """What the task's owner hears of it."""
    retryable = isinstance(error, FailedForNowError | TaskInterruptedError)
    return TaskError(type=error.type, message=str(error), retryable=retryable)


def backoff(attempt: int, first: float = 0.5, longest: float = 15.0) -> float:
    """How long to wait, in seconds, after the attempt of that number (from 1): ever longer, with jitter."""
    pause = first * 2.0 ** min(attempt - 1, 16)
    return min(longest, pause) * random.uniform(0.5, 1)  # noqa: S311  jitter, no secret
