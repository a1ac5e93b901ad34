"""The checkpoints that a WebUI lists, and the many names that each goes by."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self

from darkroom.errors import TaskFailedError

_LISTED = 20
_HASH = re.compile(r" \[[0-9a-f]+\]$")


@dataclass(frozen=True)
class Checkpoint:
    """One entry of `/sdapi/v1/sd-models`.

    `title` is what the options take. It changes when the file is first loaded, since the hash is added then.
    """

    title: str
    model_name: str
    filename: str

    @classmethod
    def read(cls, entry: dict[str, Any]) -> Self:
        """Read an entry; what is missing is empty."""
        return cls(*(str(entry.get(field) or "") for field in ("title", "model_name", "filename")))

    @property
    def stem(self) -> str:
        """The file's name without folder and suffix: the `sd_model_name` of an answer."""
        return PurePosixPath(self.filename.replace("\\", "/")).stem or self.model_name

    @property
    def names(self) -> frozenset[str]:
        """Every name that means this checkpoint."""
        file = self.filename.replace("\\", "/")
        return frozenset({self.title, bare(self.title), self.model_name, file, PurePosixPath(file).name, self.stem})


def bare(title: str) -> str:
    """A title without its hash."""
    return _HASH.sub("", title)


def find(checkpoints: Iterable[Checkpoint], name: str) -> Checkpoint | None:
    """The checkpoint of that name; an exact title wins over the other names."""
    known = list(checkpoints)
    exact = next((c for c in known if c.title == name), None)
    return exact or next((c for c in known if name in c.names or bare(name) in c.names), None)


def missing(name: str, checkpoints: Iterable[Checkpoint]) -> TaskFailedError:
    """The failure of a task that asks for what is not there."""
    titles = sorted(bare(c.title) for c in checkpoints)
    shown = ", ".join(titles[:_LISTED]) or "none"
    more = f" and {len(titles) - _LISTED} more" if len(titles) > _LISTED else ""
    return TaskFailedError("model_not_found", f"there is no model {name!r}; there is: {shown}{more}")
