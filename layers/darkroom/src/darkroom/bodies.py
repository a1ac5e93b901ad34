"""Bodies of requests: JSON, read strictly. Whatever one reader takes and another refuses is refused here."""

import json
import math
import re
from typing import Any, NoReturn

from darkroom.errors import BodyTooLargeError, FieldError, MalformedBodyError
from darkroom.models import JsonObject

MAX_BODY = 4 * 1024 * 1024
"""The largest body taken, in bytes: a Lambda's event may hold 6 MB, and quoting makes a body grow."""

MAX_DEPTH = 64
"""How deep a body's objects and lists may lie in each other; pydantic's own reader stops at 200."""

_INTEGERS = range(-(2**63), 2**63)
_UNSENDABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")  # halves of pairs, and what SQS and SNS refuse


def read_object(body: bytes) -> JsonObject:
    """Read a body's JSON object.

    Raises:
        BodyTooLargeError: it is larger than `MAX_BODY`.
        MalformedBodyError: it is no JSON object, or one that not every reader takes for the same: names that come
            twice, NaN and Infinity, numbers out of range, half characters, deep nesting.
    """
    if len(body) > MAX_BODY:
        message = f"is {len(body)} bytes, at most {MAX_BODY} are taken: send large images as links (s3 or https)"
        raise BodyTooLargeError(fields=[FieldError("body", message)])
    try:
        whole = json.loads(
            body.decode(),  # of itself json would take UTF-16 and UTF-32 too
            parse_constant=_refuse_constant,
            parse_float=_read_float,
            parse_int=_read_integer,
            object_pairs_hook=_read_pairs,
        )
        _check(whole)
    except (ValueError, RecursionError) as error:
        raise MalformedBodyError(fields=[FieldError("body", f"is not JSON as it must be: {error}")]) from error
    if not isinstance(whole, dict):
        raise MalformedBodyError(fields=[FieldError("body", "must be a JSON object")])
    return whole


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _read_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def _read_integer(text: str) -> int:
    number = int(text)
    if number not in _INTEGERS:
        raise ValueError(f"the integer {text[:20]} does not fit into 64 bits")
    return number


def _read_pairs(pairs: list[tuple[str, Any]]) -> JsonObject:
    read = dict(pairs)
    if len(read) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:40]!r} comes twice in one object")
    return read


def _check(whole: object) -> None:
    """Check depth and texts; a loop, since what is checked may be deeper than the stack."""
    waiting = [(whole, 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            if not value.isascii() and _UNSENDABLE.search(value):
                raise ValueError("a text holds a lone surrogate, U+FFFE or U+FFFF, which cannot be sent on")
        elif isinstance(value, dict | list):
            if depth == MAX_DEPTH:
                raise ValueError(f"objects and lists lie more than {MAX_DEPTH} deep in each other")
            parts = [*value, *value.values()] if isinstance(value, dict) else value
            waiting += [(part, depth + 1) for part in parts]
