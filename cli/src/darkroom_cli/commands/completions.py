"""What the shell offers after Tab. It must be quick, and it must never complain."""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from darkroom_cli.errors import ClientError
from darkroom_cli.limits import Limits, Retries, Timeouts
from darkroom_cli.profiles import Config

if TYPE_CHECKING:
    from darkroom_cli.client import Client

_QUICK = Limits(timeouts=Timeouts(connect=0.5, read=1.5, write=0.5), retries=Retries(tries=1))
_RECENT = 20


def complete_profile(incomplete: str) -> Iterator[str]:
    """The profiles."""
    with suppress(ClientError):
        yield from (name for name in Config.read().all if name.startswith(incomplete))


def complete_task(incomplete: str) -> Iterator[tuple[str, str]]:
    """The latest tasks, with what they are."""
    with suppress(ClientError), _client() as client:
        for task in client.list(limit=_RECENT):
            if task.id.startswith(incomplete):
                yield task.id, f"{task.type} {task.status}"


def complete_runtime(incomplete: str) -> Iterator[str]:
    """The runtimes."""
    with suppress(ClientError), _client() as client:
        yield from (runtime.name for runtime in client.runtimes() if runtime.name.startswith(incomplete))


def _client() -> "Client":
    from darkroom_cli.client import Client

    return Client.from_profile(limits=_QUICK)
