"""References inside a document: `${draft.images[0]}`, `${inputs.prompt}`, `${item}`, `${index}`.

A string that is one reference and nothing else becomes what it refers to, of whatever type. Inside a longer string
a reference becomes text: a string as it is, anything else as JSON. `$${` stands for the text `${`.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from darkroom.errors import DarkroomError

Json = Any
"""What a document may hold anywhere."""

_REFERENCE = re.compile(r"(\$?)\$\{([^{}]*)\}")
_NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
_FORM = re.compile(rf"{_NAME}(?:\.{_NAME}|\[\d{{1,6}}\])*")
_PART = re.compile(rf"\[(\d+)\]|({_NAME})")


class ReferenceFailedError(DarkroomError):
    """A reference finds nothing where it looks."""


class ReferenceSyntaxError(ReferenceFailedError):
    """What stands between `${` and `}` is no reference."""


class ResultMissingError(ReferenceFailedError):
    """The step that a reference asks has no result: it was skipped, or failed and the pipeline went on."""


@dataclass(frozen=True)
class Reference:
    """One reference: what it starts from (`inputs`, `item`, `index` or a step's id) and the way from there."""

    root: str
    path: tuple[str | int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what stands between the braces.

        Raises:
            ReferenceSyntaxError: it is no reference.
        """
        if not _FORM.fullmatch(text.strip()):
            raise ReferenceSyntaxError(
                f"{text!r} is no reference, such as draft.images[0]; write $${{ where you mean the text ${{"
            )
        root, *path = [int(m[1]) if m[1] else m[2] for m in _PART.finditer(text.strip())]
        return cls(str(root), tuple(path))

    def __str__(self) -> str:
        return "${" + self.root + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path) + "}"


Look = Callable[[Reference], Json]
"""Finds what a reference stands for. Raises `ReferenceFailedError`."""


def follow(value: Json, reference: Reference, path: tuple[str | int, ...]) -> Json:
    """What lies at the end of a path through lists and objects.

    Raises:
        ReferenceFailedError: there is nothing.
    """
    for part in path:
        match value, part:
            case list() | tuple(), int() if part < len(value):
                value = value[part]
            case dict(), str() if part in value:
                value = value[part]
            case _:
                raise ReferenceFailedError(f"{reference} finds nothing at {part!r}")
    return value


def resolve(value: Json, look: Look) -> Json:
    """A copy of a value with every reference replaced.

    Raises:
        ReferenceFailedError: one is wrong or finds nothing.
    """
    if isinstance(value, str):
        return _resolve_text(value, look)
    if isinstance(value, list | tuple):
        return [resolve(item, look) for item in value]
    if isinstance(value, dict):
        return {key: resolve(item, look) for key, item in value.items()}
    return value


def _resolve_text(text: str, look: Look) -> Json:
    whole = _REFERENCE.fullmatch(text)
    if whole and not whole[1]:
        return look(Reference.parse(whole[2]))

    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        found = look(Reference.parse(match[2]))
        return found if isinstance(found, str) else json.dumps(found)

    return _REFERENCE.sub(replace, text)


def is_reference(value: Json) -> bool:
    """True where a value is one reference and nothing else."""
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return match is not None and not match[1]


@dataclass(frozen=True)
class Mention:
    """A reference where it stands: `at` is the path, `whole` whether the string is nothing else.

    `fault` says what is wrong with the text where it is no reference.
    """

    at: str
    reference: Reference | None
    whole: bool
    fault: str = ""


def mentions(value: Json, at: str) -> Iterator[Mention]:
    """Every reference in a value, with its path."""
    if isinstance(value, str):
        for match in _REFERENCE.finditer(value):
            if not match[1]:
                whole = match[0] == value
                try:
                    yield Mention(at, Reference.parse(match[2]), whole)
                except ReferenceSyntaxError as error:
                    yield Mention(at, None, whole, str(error))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from mentions(item, f"{at}[{number}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from mentions(item, f"{at}.{key}")
