"""The text that the WebUI writes into a picture, and reading it back."""

import json
import re
from collections.abc import Mapping
from typing import Any

VERSION = "v1.8.0"

# `Key: value, Key: "a value, quoted"`
_PAIR = re.compile(r'\s*(\w[\w \-/]*):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"(\d+)x(\d+)")
_NEGATIVE = "Negative prompt: "


def join_pairs(pairs: Mapping[str, object]) -> str:
    """`Key: value, …`, without the pairs whose value is None; values with commas, colons or breaks are quoted."""
    return ", ".join(f"{key}: {_quote(value)}" for key, value in pairs.items() if value is not None)


def write_infotext(prompt: str, negative_prompt: str, pairs: Mapping[str, object]) -> str:
    """Prompt, negative prompt if any, and the line of parameters."""
    negative = f"\n{_NEGATIVE}{negative_prompt}" if negative_prompt else ""
    return f"{prompt}{negative}\n{join_pairs({**pairs, 'Version': VERSION})}".strip()


def read_infotext(text: str) -> dict[str, Any]:
    """Parse what `write_infotext` wrote; a size becomes `…-1` (width) and `…-2` (height), as in the WebUI."""
    *words, last = text.strip().split("\n")
    if len(_PAIR.findall(last)) < 3:  # noqa: PLR2004 -- the WebUI's own rule for telling parameters from words
        words, last = [*words, last], ""
    prompt, _, negative = "\n".join(words).partition(_NEGATIVE)
    fields: dict[str, Any] = {"Prompt": prompt.strip(), "Negative prompt": negative.strip()}
    for key, value in _PAIR.findall(last):
        if size := _SIZE.fullmatch(value):
            fields[f"{key}-1"], fields[f"{key}-2"] = size.groups()
        else:
            fields[key] = _unquote(value)
    return fields


def _quote(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",\n:") else text


def _unquote(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text
