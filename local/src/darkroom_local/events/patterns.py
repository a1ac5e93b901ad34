"""Filters of event sources: which records a function gets to see.

The patterns: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html. The emulator's matcher of
EventBridge patterns does all that is described there.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moto.events.models import EventPattern

Record = dict[str, Any]


class Filters:
    """Event patterns of which one must match; without any, every record passes."""

    def __init__(self, patterns: Iterable[Mapping[str, Any]]) -> None:
        self._patterns = [dict(pattern) for pattern in patterns]

    def accept(self, record: Record) -> bool:
        """Whether the record, as the function would get it, passes.

        The body of a queue's message is matched as what it holds where that is a JSON object, else as text. A
        pattern for an object never matches a text, nor one for a text an object.
        """
        if isinstance(record.get("body"), str):
            record = {**record, "body": _parse(record["body"])}
        return not self._patterns or any(_matches(pattern, record) for pattern in self._patterns)


def _matches(pattern: dict[str, Any], record: Record) -> bool:
    if "body" in pattern and isinstance(pattern["body"], dict) != isinstance(record.get("body"), dict):
        return False
    matches: Callable[[Any], bool] = EventPattern(None, pattern).matches_event
    return matches(record)


def _parse(body: str) -> object:
    try:
        parsed = json.loads(body)
    except ValueError:
        return body
    return parsed if isinstance(parsed, dict) else body
