"""What a check before a deployment finds."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "missing"]


@dataclass(frozen=True)
class Check:
    """One finding. `remedy` says what to do where the state is not ok."""

    what: str
    state: State = "ok"
    remedy: str = ""
