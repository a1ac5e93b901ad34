"""Finding links in a content, and putting what they lead to in their places.

The rule: a link is a text, at any depth, that as a whole is an `http://`, `https://` or `s3://` URL, whatever its
field is called. Texts in the fields of `TEXT_FIELDS` (or those that the runtime's adapter names instead) and
everything below them are words, never links.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from darkroom.models import JsonObject

Place: TypeAlias = tuple[str | int, ...]
"""Where a value stands in a content: the names and indices that lead to it."""

SCHEMES = frozenset({"http", "https", "s3"})

TEXT_FIELDS = frozenset(
    {"prompt", "negative_prompt", "hr_prompt", "hr_negative_prompt", "styles", "infotext", "name", "comment"}
)


@dataclass(frozen=True)
class Link:
    """One link. `place` is where it stands, in words (`content.init_images[0]`); `path` likewise, for programs."""

    url: str
    path: Place

    @property
    def place(self) -> str:
        """Where it stands, as it is told to the task's owner."""
        return name_place(self.path)


def name_place(path: Place) -> str:
    """A path as it is written: `content.init_images[0]`."""
    return "content" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def is_link(text: str) -> bool:
    """True where the whole text is a URL of a scheme that we fetch. Keys in S3 may hold spaces."""
    scheme, separator, rest = text.strip().partition("://")
    if scheme.lower() == "s3":
        rest = rest.replace(" ", "")
    return bool(separator) and scheme.lower() in SCHEMES and bool(rest) and not any(c.isspace() for c in rest)


def find_links(content: JsonObject, words: frozenset[str] = TEXT_FIELDS) -> list[Link]:
    """Every link in a content, in order. `words` are the fields whose texts are never links."""
    return [Link(text.strip(), path) for path, text in texts(content, words) if is_link(text)]


def texts(value: object, words: frozenset[str] = TEXT_FIELDS, path: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every text in a content that is not words, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, words, (*path, index))
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in words:
                yield from texts(item, words, (*path, name))


def replace(value: Any, replacements: Mapping[Place, object]) -> Any:  # noqa: ANN401  JSON is anything
    """A copy of a content with other values at some paths. What does not change is shared, not copied."""
    return _replace(value, (), replacements) if replacements else value


def _replace(value: Any, path: Place, new: Mapping[Place, object]) -> Any:  # noqa: ANN401
    if path in new:
        return new[path]
    if isinstance(value, list):
        return [_replace(item, (*path, index), new) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {name: _replace(item, (*path, name), new) for name, item in value.items()}
    return value
