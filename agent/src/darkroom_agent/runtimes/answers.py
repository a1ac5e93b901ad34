"""What of a runtime's answers may be told and kept: no tracebacks, no paths, no files."""

import re
from collections.abc import Mapping
from typing import Any

LONGEST_MESSAGE = 300
"""Characters of a message about one fault."""

CONNECTION: Mapping[str, Mapping[str, str]] = {"POST": {"Connection": "close"}}
"""Headers by method. Servers on uvicorn (Forge, many others) answer 500 and close the connection without a word: a
job that is sent over it next would be lost. What only reads is asked again by aiohttp itself."""

_LONGEST_TEXT = 1024
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_PATH = re.compile(r"(?<![\w:/.])(?:[A-Za-z]:)?[\\/](?:[\w.@+-]+[\\/])+([\w.@+-]*)")


def without_files(value: Any) -> Any:  # noqa: ANN401  JSON is anything
    """A copy of an answer with notes where files were: `alwayson_scripts` is echoed whole, base64 included."""
    if isinstance(value, str):
        if value.startswith("data:") or (len(value) > _LONGEST_TEXT and _BASE64.fullmatch(value)):
            return f"<{len(value)} characters of base64>"
        return value
    if isinstance(value, list):
        return [without_files(item) for item in value]
    if isinstance(value, dict):
        return {name: without_files(item) for name, item in value.items()}
    return value


def tidy(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """A message for the task's owner: short, without tracebacks, and without the paths of a machine not theirs.

    `longest` is in characters.
    """
    lines = [line.strip() for line in text.splitlines()]
    told = [line for line in lines if line and not line.startswith(("Traceback ", 'File "'))]
    if len(told) < len([line for line in lines if line]):  # a traceback: the fault is in its last line
        told = told[-1:]
    message = _PATH.sub(r"…/\1", " ".join(told))
    return message if len(message) <= longest else message[: longest - 1] + "…"
