"""The environment of the client and the command line, read once and typed. Nothing else here reads it."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from darkroom.settings import Settings

PROGRAMS = Path(sys.executable).parent
"""Where this installation's programs are: `darkroom` itself and, after `make setup`, `sam`."""


def tool_environment() -> dict[str, str]:
    """What tools are run with: our own environment, where programs that are not found elsewhere are ours."""
    path = os.pathsep.join([*filter(None, [os.environ.get("PATH")]), str(PROGRAMS)])
    return {**os.environ, "PATH": path}


class ClientSettings(Settings):
    """DARKROOM_URL with DARKROOM_API_KEY, or DARKROOM_PROFILE: they go before what the profiles' file says."""

    url: str | None = None
    api_key: SecretStr | None = None
    profile: str | None = None
    webhook_secret: SecretStr | None = None


@dataclass(frozen=True)
class Terminal:
    """What the terminal says of itself."""

    program: str = ""
    kind: str = ""
    in_kitty: bool = False
    in_multiplexer: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read TERM_PROGRAM, TERM, and what kitty, tmux and screen set."""
        return cls(
            program=environment.get("TERM_PROGRAM", ""),
            kind=environment.get("TERM", ""),
            in_kitty="KITTY_WINDOW_ID" in environment,
            in_multiplexer="TMUX" in environment or environment.get("TERM", "").startswith(("tmux", "screen")),
        )
