"""How the local cloud that runs on this machine is found: by a file that is there while it runs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_cache_path
from pydantic import Field, ValidationError

from darkroom.models import Model
from darkroom_cli.errors import NotRunningError
from darkroom_cli.private_files import write_private


class LocalState(Model):
    """A running local cloud: its process, its API, and the keys to the AWS that it emulates."""

    pid: int
    url: str
    api_key: str = Field(repr=False)
    operator_key: str = Field(repr=False)
    stack: str
    region: str
    endpoint_url: str
    access_key_id: str
    secret_access_key: str = Field(repr=False)


def state_path() -> Path:
    """Where the file is, while there is one."""
    return user_cache_path("darkroom") / "local.json"


@contextmanager
def announced(state: LocalState) -> Iterator[None]:
    """Let others find a local cloud for the length of a `with` statement. The one started last is found."""
    write_private(state_path(), state.to_json())
    try:
        yield
    finally:
        with suppress(NotRunningError):  # another one took its place, and has ended
            if find_local().pid == state.pid:
                state_path().unlink(missing_ok=True)


def find_local() -> LocalState:
    """The local cloud that runs on this machine.

    Raises:
        NotRunningError: none does.
    """
    try:
        state = LocalState.model_validate_json(state_path().read_bytes())
    except (OSError, ValidationError) as error:
        raise NotRunningError from error
    if not _lives(state.pid):
        raise NotRunningError("The local cloud has ended without saying so.")
    return state


def _lives(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # to ask is to kill there; the first request will tell
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
