"""The checkpoints that a WebUI lists, and the many names that each goes by."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
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
    hash: str = ""
    sha256: str = ""

    @classmethod
    def read(cls, entry: dict[str, Any]) -> Self:
        """Read an entry; what is missing is empty."""
        return cls(*(str(entry.get(field.name) or "") for field in fields(cls)))

    @property
    def stem(self) -> str:
        """The file's name without folder and suffix: the `sd_model_name` of an answer."""
        return PurePosixPath(self.filename.replace("\\", "/")).stem or self.model_name

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that means this checkpoint; those that others may share come last."""
        file = self.filename.replace("\\", "/")
        return (
            self.title,
            bare(self.title),
            self.model_name,
            file,
            self.hash,
            self.sha256,
            PurePosixPath(file).name,
            self.stem,
        )


def bare(title: str) -> str:
    """A title without its hash."""
    return _HASH.sub("", title)


def find(checkpoints: Iterable[Checkpoint], name: str) -> Checkpoint | None:
    """The checkpoint of that name. Where several have it, for one of them it is the better name."""
    known = list(checkpoints)
    for wanted in (name, bare(name)):
        found = [checkpoint for checkpoint in known if wanted in checkpoint.names]
        if found:
            return min(found, key=lambda checkpoint: checkpoint.names.index(wanted))
    return None


def missing(name: str, checkpoints: Iterable[Checkpoint]) -> TaskFailedError:
    """The failure of a task that asks for what is not there."""
    titles = sorted(bare(c.title) for c in checkpoints)
    shown = ", ".join(titles[:_LISTED]) or "none"
    more = f" and {len(titles) - _LISTED} more" if len(titles) > _LISTED else ""
    return TaskFailedError("model_not_found", f"there is no model {name!r}; there is: {shown}{more}")
