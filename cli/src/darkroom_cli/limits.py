"""The client's limits, in values with names."""

import secrets
from dataclasses import dataclass

from darkroom_cli.errors import (
    SERVER_FAULTS,
    ApiError,
    ClientError,
    RateLimitedError,
    ServerError,
    TransferError,
    UnreachableError,
)

MIB = 1024 * 1024


@dataclass(frozen=True)
class Timeouts:
    """How long to wait, in seconds, for a connection, for the next bytes to come, and to go.

    API Gateway answers within 29 seconds or says that it cannot.
    """

    connect: float = 5.0
    read: float = 35.0
    write: float = 30.0


@dataclass(frozen=True)
class Retries:
    """When a request that went wrong is sent again.

    `tries` counts the first one. The pause begins at `first` seconds, doubles up to `longest`, and varies by half,
    so that many clients do not come back at once. A `Retry-After` of up to `patience` seconds is obeyed; a longer
    one ends the tries.
    """

    tries: int = 5
    first: float = 0.4
    longest: float = 10.0
    patience: float = 60.0

    def pause(self, error: ClientError, tried: int, *, repeatable: bool) -> float | None:
        """Seconds until the next try after `tried` of them, or None where there is to be none.

        A request that is not `repeatable` is sent again only where it cannot have had an effect.
        """
        if tried >= self.tries or not _passing(error, repeatable=repeatable):
            return None
        asked = error.retry_after if isinstance(error, ApiError) else None
        if asked is not None:
            return asked if asked <= self.patience else None
        pause = min(self.first * 2.0 ** (tried - 1), self.longest)
        return pause * (0.5 + secrets.randbelow(1001) / 1000)


@dataclass(frozen=True)
class Polling:
    """How a task is waited for: the pause between two looks grows by `growth` from `first` to `longest` seconds.

    `prefer` is for how long the API is asked to hold its answer back until the task ends; it takes 25 at most.
    """

    first: float = 0.3
    longest: float = 5.0
    growth: float = 1.4
    prefer: float = 20.0


@dataclass(frozen=True)
class Transfers:
    """How files travel: so many at once, and read or written so many bytes at a time."""

    at_once: int = 4
    chunk: int = 256 * 1024


@dataclass(frozen=True)
class Limits:
    """All of a client's limits."""

    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    polling: Polling = Polling()
    transfers: Transfers = Transfers()


def _passing(error: ClientError, *, repeatable: bool) -> bool:
    if isinstance(error, UnreachableError):
        return repeatable or not error.sent
    if isinstance(error, TransferError):
        return error.status is not None and error.status >= SERVER_FAULTS
    return isinstance(error, RateLimitedError) or (repeatable and isinstance(error, ServerError))
