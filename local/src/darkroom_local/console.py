"""The local cloud's log on a terminal: one line an event, whoever it comes from.

Functions and agents log JSON, for machines. Here a person reads: time, part, what happened, and its values.
"""

import json
import re
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

_HIDDEN = frozenset(  # what Powertools and the agent add to every line
    {
        *("level", "location", "message", "timestamp", "service", "cold_start", "function_name"),
        *("function_memory_size", "function_arn", "function_request_id", "correlation_id", "xray_trace_id"),
        *("time", "event", "logger", "sampling_rate"),
    }
)
_COLOURS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}
_PART_WIDTH = 18
_GENERATED = re.compile(r"-[A-Z0-9]{12}$")  # what CloudFormation appends to a name


class ConsoleLog:
    """A `Log` that prints. `stack_name` is left out of functions' names, since all have it."""

    def __init__(self, console: Console, stack_name: str, *, verbose: bool = False) -> None:
        self._console = console
        self._prefix = f"{stack_name}-"
        self._verbose = verbose

    def __call__(self, part: str, line: str) -> None:
        """Print one line of one part."""
        text = self.render(part, line)
        if text is not None:
            self._console.print(text, soft_wrap=True)

    def render(self, part: str, line: str) -> Text | None:
        """One line of one part as a person reads it; None where there is nothing to read."""
        level, message = _read(line)
        if not line.strip() or (level == "METRIC" and not self._verbose):
            return None
        name = _GENERATED.sub("", part.removeprefix(self._prefix)).removesuffix("Function")
        time = f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005  the reader's own clock
        return Text.assemble(
            (time, "dim"), (f" {name:<{_PART_WIDTH}} ", "cyan"), (message, _COLOURS.get(level, ""))
        )


def _read(line: str) -> tuple[str, str]:
    """The level of a line and what it says to a person."""
    try:
        record = json.loads(line)
    except ValueError:
        return ("ERROR" if line.startswith("[ERROR]") else "INFO"), line
    if not isinstance(record, dict):
        return "INFO", line
    if "_aws" in record:
        return "METRIC", "metrics " + _values({k: v for k, v in record.items() if k not in {"_aws", "service"}})
    message = record.get("message") or record.get("event")
    if not isinstance(message, str):
        return "INFO", line
    values = {name: value for name, value in record.items() if name not in _HIDDEN}
    return str(record.get("level", "INFO")).upper(), f"{message} {_values(values)}".rstrip()


def _values(values: dict[str, Any]) -> str:
    return " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in values.items()
        if value not in (None, "", [], {})
    )
