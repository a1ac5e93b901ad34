"""Structured logs: a constant event name, values beside it, and the task that it is about.

One JSON object a line, or (`text`, and on a terminal) one readable line.
"""

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

_bound: ContextVar[dict[str, Any]] = ContextVar("log_values", default={})  # noqa: B039  it is replaced, never changed


class EventLog:
    """A logger of events: `log.info("task_claimed", attempt=1)`."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **values: object) -> None:
        """What only somebody who looks for a fault wants to know."""
        self._log(logging.DEBUG, event, values)

    def info(self, event: str, **values: object) -> None:
        """The ordinary course."""
        self._log(logging.INFO, event, values)

    def warning(self, event: str, **values: object) -> None:
        """Something went wrong that the agent deals with."""
        self._log(logging.WARNING, event, values)

    def error(self, event: str, **values: object) -> None:
        """Something went wrong that a person should see."""
        self._log(logging.ERROR, event, values)

    def critical(self, event: str, **values: object) -> None:
        """The agent cannot go on."""
        self._log(logging.CRITICAL, event, values)

    def exception(self, event: str, **values: object) -> None:
        """As `error`, with the traceback of the exception in hand."""
        self._log(logging.ERROR, event, values, exc_info=True)

    def _log(self, level: int, event: str, values: dict[str, object], *, exc_info: bool = False) -> None:
        extra = {"values": {**_bound.get(), **values}}
        self._logger.log(level, event, extra=extra, exc_info=exc_info)


@contextlib.contextmanager
def bound(**values: object) -> Iterator[None]:
    """Add values to every event logged inside, also in asyncio tasks that start there."""
    token = _bound.set({**_bound.get(), **values})
    try:
        yield
    finally:
        _bound.reset(token)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            **getattr(record, "values", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """One readable line."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        values = " ".join(f"{name}={value}" for name, value in getattr(record, "values", {}).items())
        line = f"{time} {record.levelname:7} {record.getMessage():24} {values}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(log_format: str) -> None:
    """Send logs to standard output; `auto` is text on a terminal and JSON elsewhere."""
    text = log_format == "text" or (log_format == "auto" and sys.stdout.isatty())
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("darkroom_agent").setLevel(logging.INFO)
